//! The merged tree made whole: old spellings renewed, short forms written out, defaults filled in.
//!
//! Afterwards every key of the table that has a value is in the tree, with its origin, and none is null.

use super::node::{Content, Entry};
use super::parse::parse;
use super::schema::{Choice, Key, Kind};
use super::{Finding, Node, Origin, finding};

/// Makes the tree whole and says what is odd about it.
pub(crate) fn complete(root: &mut Node, kind: &Kind) -> Vec<Finding> {
    let mut completion = Completion { warnings: Vec::new() };
    completion.renew(root);
    completion.node(root, kind, "");
    completion.warnings
}

struct Completion {
    warnings: Vec<Finding>,
}

impl Completion {
    /// Old spellings that Distribution still reads.
    fn renew(&mut self, root: &mut Node) {
        if !matches!(root.content, Content::Map(_) | Content::Null) {
            return;
        }
        if root.at("version").is_none() {
            let origin = root.origin.clone();
            self.warn(
                &origin,
                "version",
                "is missing; 0.1 is assumed, and Distribution would insist on `version: 0.1`",
            );
        }
        if let Some(old) = root.remove("loglevel").filter(|old| !old.value.is_null()) {
            self.warn(&old.key_origin, "loglevel", "is deprecated; write `log: { level: … }`");
            if root.at("log.level").is_none()
                && matches!(root.at("log").map(|log| &log.content), None | Some(Content::Map(_)))
            {
                let log = slot(root, "log");
                let level = slot(log, "level");
                *level = old.value;
            }
        }
        let Some(storage) = root.make_map().iter_mut().find(|entry| entry.key == "storage") else { return };
        let Content::Map(helpers) = &mut storage.value.content else { return };
        let Some(cache) = helpers.iter_mut().find(|entry| entry.key == "cache") else { return };
        if let Some(old) = cache.value.remove("layerinfo").filter(|old| !old.value.is_null()) {
            self.warn(&old.key_origin, "storage.cache.layerinfo", "is deprecated; write `blobdescriptor`");
            if cache.value.at("blobdescriptor").is_none() {
                *slot(&mut cache.value, "blobdescriptor") = old.value;
            }
        }
    }

    fn node(&mut self, node: &mut Node, kind: &Kind, path: &str) {
        match kind {
            Kind::Leaf(_) | Kind::Duration => {
                // In Go an empty text is the same as none.
                if node.as_text() == Some("") {
                    node.content = Content::Null;
                }
                if matches!(kind, Kind::Duration) {
                    self.warn_of_bare_number(node, path);
                }
            }
            Kind::Section(keys) | Kind::Optional(keys) => self.section(node, keys, path),
            Kind::Choice(choice) => self.choice(node, choice, path),
            Kind::List(item) => self.list(node, item, path),
            Kind::Map(value) => {
                if let (Kind::List(_), Content::Map(entries)) = (value, &mut node.content) {
                    for entry in entries {
                        self.node(&mut entry.value, value, &finding::child(path, &entry.key));
                    }
                }
            }
            Kind::Parameters(_) if node.is_null() => *node = Node::empty_map(&node.origin),
            Kind::Parameters(_) | Kind::Any => {}
        }
    }

    fn section(&mut self, node: &mut Node, keys: &[Key], path: &str) {
        if node.is_null() {
            *node = Node::empty_map(&node.origin);
        }
        if !matches!(node.content, Content::Map(_)) {
            return;
        }
        for key in keys.iter().filter(|key| !key.yaml.is_empty()) {
            self.key(node, key, &finding::child(path, key.yaml));
        }
    }

    fn key(&mut self, node: &mut Node, key: &Key, path: &str) {
        if matches!(key.kind, Kind::Optional(_))
            && node.entry(key.yaml).is_none_or(|entry| is_blank(&entry.value))
        {
            node.remove(key.yaml);
            return;
        }
        let value = slot(node, key.yaml);
        self.node(value, &key.kind, path);
        if !value.is_null() {
            return;
        }
        match key.default.and_then(default) {
            Some(default) => *value = default,
            None => {
                node.remove(key.yaml);
            }
        }
    }

    fn list(&mut self, node: &mut Node, item: &Kind, path: &str) {
        if matches!(node.content, Content::Scalar(_)) && matches!(item, Kind::Leaf(_)) {
            let single = node.clone();
            node.content = Content::List(vec![single]);
        }
        let Content::List(items) = &mut node.content else { return };
        if matches!(item, Kind::Leaf(_)) {
            return;
        }
        for (index, node) in items.iter_mut().enumerate() {
            self.node(node, item, &format!("{path}[{index}]"));
        }
    }

    fn choice(&mut self, node: &mut Node, choice: &Choice, path: &str) {
        if let Some(name) = node.as_text() {
            let name = if choice.open { name.to_owned() } else { name.to_lowercase() };
            let origin = node.origin.clone();
            let value = Node::empty_map(&origin);
            node.content = Content::Map(vec![Entry { key: name, key_origin: origin, value }]);
        }
        if node.is_null() {
            *node = Node::empty_map(&node.origin);
        }
        let Content::Map(entries) = &mut node.content else { return };
        let is_choice = |entry: &Entry| !choice.is_helper(&entry.key);
        // What somebody chose takes the place of what nobody did.
        if entries.iter().any(|entry| is_choice(entry) && entry.key_origin != Origin::Default) {
            entries.retain(|entry| !is_choice(entry) || entry.key_origin != Origin::Default);
        }
        for entry in entries.iter_mut().filter(|entry| is_choice(entry)) {
            let path = finding::child(path, &entry.key);
            let kind = choice
                .known
                .iter()
                .find(|key| key.yaml == entry.key)
                .map_or(Kind::Parameters(&[]), |key| key.kind);
            self.node(&mut entry.value, &kind, &path);
        }
        if !choice.open && entries.is_empty() {
            *slot(node, "none") = Node::empty_map(&Origin::Default);
        }
        self.section(node, choice.helpers, path);
    }

    fn warn_of_bare_number(&mut self, node: &Node, path: &str) {
        if let Some(text) = node.as_text()
            && text != "0"
            && text.bytes().all(|b| b.is_ascii_digit())
        {
            let message = format!("{text} without a unit is {text} nanoseconds; for seconds write `{text}s`");
            self.warn(&node.origin, path, &message);
        }
    }

    fn warn(&mut self, origin: &Origin, path: &str, message: &str) {
        self.warnings.push(Finding::new(origin, path, message));
    }
}

/// The value of `key`, which is made if it is not there.
fn slot<'a>(node: &'a mut Node, key: &str) -> &'a mut Node {
    let entries = node.make_map();
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let (key, key_origin) = (key.to_owned(), Origin::Default);
        entries.push(Entry { key, key_origin, value: Node::null(&Origin::Default) });
        entries.len() - 1
    });
    &mut entries[index].value
}

fn default(yaml: &str) -> Option<Node> {
    parse(yaml, &|_, _| Origin::Default).ok().map(|parsed| parsed.root)
}

/// Whether nothing at all is said: an optional section that is blank is not there.
fn is_blank(node: &Node) -> bool {
    match &node.content {
        Content::Null => true,
        Content::Scalar(scalar) => scalar.text.is_empty(),
        Content::List(_) => false,
        Content::Map(entries) => entries.iter().all(|entry| is_blank(&entry.value)),
    }
}
