//! Completes the merged tree: renews old spellings, writes short forms out, fills in defaults, and refuses empty sections
//! that the registry's safety depends on.
//!
//! Afterwards the tree holds every known key that has a value, with its origin, and no value is null.

use super::drivers::BUNDLE_NAME;
use super::key::{Choice, Key, Kind};
use super::node::{Content, Entry};
use super::parse::parse;
use super::renew::renew;
use super::{Diagnostic, Node, Origin, diagnostic};

/// Completes the tree and reports what is odd or wrong in it.
pub(super) fn complete(root: &mut Node, kind: &Kind) -> Completed {
    let mut completed = renew(root);
    completed.node(root, kind, "");
    imply_read_only(root);
    completed
}

/// Completes a tree that is a part of a section of ours, and has no old spellings.
pub(super) fn complete_part(root: &mut Node, kind: &Kind) -> Completed {
    let mut completed = Completed { is_ours: true, ..Completed::default() };
    completed.node(root, kind, "");
    completed
}

/// A registry over bundles is read-only. The file may not say otherwise, which the check of `storage` sees.
fn imply_read_only(root: &mut Node) {
    let is_unwritten = |node: &Node| node.origin == Origin::Default;
    if root.at("storage").is_some_and(|storage| storage.entry(BUNDLE_NAME).is_some())
        && root.at("storage.maintenance.readonly.enabled").is_some_and(is_unwritten)
        && let Some(enabled) = default("true")
    {
        *["storage", "maintenance", "readonly", "enabled"].into_iter().fold(root, slot) = enabled;
    }
}

/// The diagnostics of a completion.
#[derive(Default)]
pub(super) struct Completed {
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) mistakes: Vec<Diagnostic>,
    /// Whether Distribution lacks the key that is being completed, or a section that has it.
    is_ours: bool,
}

impl Completed {
    fn node(&mut self, node: &mut Node, kind: &Kind, path: &str) {
        match kind {
            Kind::Leaf(_) | Kind::Duration => {
                // In Go an empty text equals none.
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
                        self.node(&mut entry.value, value, &diagnostic::child(path, &entry.key));
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
            self.key(node, key, &diagnostic::child(path, key.yaml));
        }
    }

    fn key(&mut self, node: &mut Node, key: &Key, path: &str) {
        if let (Some(remedy), Some(entry)) = (key.never_blank, node.entry(key.yaml))
            && self.refuse_blank(entry, &key.kind, path, remedy)
        {
            node.remove(key.yaml);
        }
        if matches!(key.kind, Kind::Optional(_))
            && node.entry(key.yaml).is_none_or(|entry| is_blank(&entry.value))
        {
            node.remove(key.yaml);
            return;
        }
        let value = slot(node, key.yaml);
        let is_outer_ours = self.is_ours;
        self.is_ours |= key.is_ours;
        self.node(value, &key.kind, path);
        self.is_ours = is_outer_ours;
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
        // An explicit choice replaces the default one.
        if entries.iter().any(|entry| is_choice(entry) && entry.key_origin != Origin::Default) {
            entries.retain(|entry| !is_choice(entry) || entry.key_origin != Origin::Default);
        }
        for entry in entries.iter_mut().filter(|entry| is_choice(entry)) {
            let path = diagnostic::child(path, &entry.key);
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

    /// Reports a mistake and returns `true` if a section that protects the registry is empty. Empty never means "off": the
    /// variable or template that should have filled the section may be misspelt.
    fn refuse_blank(&mut self, entry: &Entry, kind: &Kind, path: &str, remedy: &str) -> bool {
        let is_empty = match kind {
            Kind::Choice(_) => chooses_nothing(&entry.value),
            _ => is_blank(&entry.value),
        };
        if !is_empty {
            return false;
        }
        let emptied = variables_of(&entry.value);
        let origin = emptied.first().copied().unwrap_or(&entry.key_origin);
        let what = match emptied.as_slice() {
            [_, others @ ..] if !others.is_empty() => {
                let others: Vec<String> = others.iter().map(ToString::to_string).collect();
                format!("is empty, and so is {}", others.join(" and "))
            }
            _ => "is empty".to_owned(),
        };
        self.mistakes.push(Diagnostic::new(origin, path, format!("{what}; {remedy}")));
        true
    }

    fn warn_of_bare_number(&mut self, node: &Node, path: &str) {
        if let Some(text) = node.as_text()
            && text != "0"
            && text.bytes().all(|b| b.is_ascii_digit())
        {
            // A key of Distribution's keeps its meaning. Our own keys refuse a number without a unit.
            if self.is_ours {
                let message = format!(
                    "{text} has no unit; write `{text}h` for hours, `{text}m` for minutes, `{text}s` for seconds"
                );
                self.mistakes.push(Diagnostic::new(&node.origin, path, message));
                return;
            }
            let message = format!("{text} without a unit is {text} nanoseconds; for seconds write `{text}s`");
            self.warn(&node.origin, path, &message);
        }
    }

    pub(super) fn warn(&mut self, origin: &Origin, path: &str, message: &str) {
        self.warnings.push(Diagnostic::new(origin, path, message));
    }
}

/// The value of `key`; creates the entry if it is missing.
pub(super) fn slot<'a>(node: &'a mut Node, key: &str) -> &'a mut Node {
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

/// Whether a node holds no value at all. A blank optional section counts as absent.
pub(super) fn is_blank(node: &Node) -> bool {
    match &node.content {
        Content::Null => true,
        Content::Scalar(scalar) => scalar.text.is_empty(),
        Content::List(_) => false,
        Content::Map(entries) => entries.iter().all(|entry| is_blank(&entry.value)),
    }
}

/// Whether a choice section names no choice.
pub(super) fn chooses_nothing(node: &Node) -> bool {
    match &node.content {
        Content::Null => true,
        Content::Scalar(scalar) => scalar.text.is_empty(),
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.is_empty(),
    }
}

/// The variables that set a node or something below it, each once.
fn variables_of(node: &Node) -> Vec<&Origin> {
    let mut found = Vec::new();
    let below = node.entries().iter().flat_map(|entry| variables_of(&entry.value));
    for origin in below.chain(std::iter::once(&node.origin)) {
        if matches!(origin, Origin::Environment(_)) && !found.contains(&origin) {
            found.push(origin);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::root::ROOT;
    use super::*;

    /// Calls `visit` with a text for each duration, in which it is 30, and whether its key is ours.
    fn visit_durations(
        kind: &Kind,
        is_ours: bool,
        text: &dyn Fn(&str) -> String,
        visit: &mut dyn FnMut(&str, bool),
    ) {
        match kind {
            Kind::Duration => visit(&text("30"), is_ours),
            Kind::List(item) => {
                visit_durations(item, is_ours, &|inner| text(&format!("[{inner}]")), visit);
            }
            _ => {
                for key in kind.keys() {
                    let text = |inner: &str| text(&format!("{{{}: {inner}}}", key.yaml));
                    // `storage.gc` is the old place of `gc`.
                    if !key.yaml.is_empty() && !text("").starts_with("{storage: {gc:") {
                        visit_durations(&key.kind, is_ours || key.is_ours, &text, visit);
                    }
                }
            }
        }
    }

    #[test]
    fn a_bare_number_is_a_mistake_for_each_duration_of_ours_and_a_warning_for_others() {
        let mut counts = (0, 0);
        visit_durations(&ROOT, false, &|text| text.to_owned(), &mut |text, is_ours| {
            let mut tree = parse(text, &|_, _| Origin::Default).unwrap().root;
            let completed = complete(&mut tree, &ROOT);
            let said = |found: &[Diagnostic], part| {
                found.iter().filter(|found| found.to_string().contains(part)).count()
            };
            let found = (
                said(&completed.mistakes, "30 has no unit"),
                said(&completed.warnings, "30 without a unit is 30 nanoseconds"),
            );
            assert_eq!(found, if is_ours { (1, 0) } else { (0, 1) }, "{text}");
            if is_ours { counts.0 += 1 } else { counts.1 += 1 }
        });
        assert!(counts.0 > 15 && counts.1 > 10, "{counts:?}");
    }
}
