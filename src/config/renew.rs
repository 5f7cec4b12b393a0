//! Renews old spellings and old places, before every other stage.
//!
//! Distribution's own old spellings work as there. `storage.gc` is the old place of our section `gc`: Distribution refuses
//! unknown keys in `storage`, so it refuses a file with that key.

use super::defaults::{Completed, is_blank, slot};
use super::node::{Content, Entry};
use super::{Diagnostic, Node, Origin};

/// Renews old keys in the tree, and reports them.
pub(super) fn renew(root: &mut Node) -> Completed {
    let mut renewal = Completed::default();
    if !matches!(root.content, Content::Map(_) | Content::Null) {
        return renewal;
    }
    renewal.version(root);
    renewal.log_level(root);
    renewal.layer_info(root);
    renewal.collection(root);
    renewal
}

impl Completed {
    fn version(&mut self, root: &Node) {
        if root.at("version").is_none() {
            self.warn(
                &root.origin,
                "version",
                "is missing; 0.1 is assumed, but Distribution requires `version: 0.1`",
            );
        }
    }

    fn log_level(&mut self, root: &mut Node) {
        let Some(old) = root.remove("loglevel").filter(|old| !old.value.is_null()) else { return };
        self.warn(&old.key_origin, "loglevel", "is deprecated; write `log: { level: … }`");
        if root.at("log.level").is_none()
            && matches!(root.at("log").map(|log| &log.content), None | Some(Content::Map(_)))
        {
            *slot(slot(root, "log"), "level") = old.value;
        }
    }

    fn layer_info(&mut self, root: &mut Node) {
        let Some(storage) = section(root, "storage") else { return };
        let Some(cache) = section(storage, "cache") else { return };
        let Some(old) = cache.remove("layerinfo").filter(|old| !old.value.is_null()) else { return };
        self.warn(&old.key_origin, "storage.cache.layerinfo", "is deprecated; write `blobdescriptor`");
        if cache.at("blobdescriptor").is_none() {
            *slot(cache, "blobdescriptor") = old.value;
        }
    }

    fn collection(&mut self, root: &mut Node) {
        let Some(old) = section(root, "storage").and_then(|storage| storage.remove("gc")) else { return };
        if let Some(new) = root.entry("gc").filter(|new| !is_blank(&new.value)) {
            let (old, new) = (&old.key_origin, &new.key_origin);
            let message = format!(
                "is the old place of `gc`, which is also at the top ({new}); keep the one at the top, since Distribution \
                 does not start with the other"
            );
            self.mistakes.push(Diagnostic::new(old, "storage.gc", message));
            return;
        }
        for origin in sources(&old) {
            let remedy = match &origin {
                Origin::Environment(name) => {
                    format!("set `{}`", name.replacen("REGISTRY_STORAGE_GC", "REGISTRY_GC", 1))
                }
                Origin::File { .. } | Origin::Default => {
                    "write `gc: { … }` at the top of the file".to_owned()
                }
            };
            let message =
                format!("has moved: Distribution does not start with a file that has it here; {remedy}");
            self.warn(&origin, "storage.gc", &message);
        }
        let Content::Map(entries) = &mut root.content else { return };
        entries.retain(|entry| entry.key != "gc");
        entries.push(Entry { key: "gc".to_owned(), ..old });
    }
}

/// A section of the file, if it exists and is a map.
fn section<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Content::Map(entries) = &mut node.content else { return None };
    let entry = entries.iter_mut().find(|entry| entry.key == key)?;
    matches!(entry.value.content, Content::Map(_)).then_some(&mut entry.value)
}

/// The origins of a section: its key, and each variable that set a value below it.
fn sources(section: &Entry) -> Vec<Origin> {
    let mut origins = vec![section.key_origin.clone()];
    let below = section.value.entries().iter().map(|entry| &entry.value);
    for node in std::iter::once(&section.value).chain(below) {
        if matches!(node.origin, Origin::Environment(_)) && !origins.contains(&node.origin) {
            origins.push(node.origin.clone());
        }
    }
    origins
}
