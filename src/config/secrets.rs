//! Finds secrets in the file, for the check of its permissions.

use super::key::{Disclosure, Kind};
use super::node::Content;
use super::root::ROOT;
use super::show::{is_secret_scalar, showing_below};
use super::{Diagnostic, Loaded, Node, Origin, diagnostic};
use sampan_shown_url::ShownUrl;

impl Loaded {
    /// The key and place of the first secret in the file itself; a secret from a variable does not count. The message is
    /// empty, for the caller to fill.
    pub fn secret_in_file(&self) -> Option<Diagnostic> {
        find(&self.tree, &ROOT, Disclosure::Usual, "")
    }
}

fn find(node: &Node, kind: &Kind, showing: Disclosure, path: &str) -> Option<Diagnostic> {
    match &node.content {
        Content::Null => None,
        Content::Scalar(scalar) => {
            let has_secret = match showing {
                Disclosure::Never => !scalar.text.is_empty(),
                Disclosure::Usual => {
                    ShownUrl::looks_like_one(&scalar.text) && ShownUrl::new(&scalar.text).is_shortened()
                }
                Disclosure::Verbatim => false,
            };
            (has_secret && matches!(node.origin, Origin::File { .. }))
                .then(|| Diagnostic::new(&node.origin, path, ""))
        }
        Content::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find(item, &kind.item(), showing, &format!("{path}[{index}]"))),
        Content::Map(entries) => {
            let keys = kind.keys();
            entries.iter().find_map(|entry| {
                let key = keys.iter().find(|key| key.yaml == entry.key);
                let kind = key.map_or_else(|| kind.item(), |key| key.kind);
                let showing = showing_below(showing, key.copied(), is_secret_scalar(entry));
                find(&entry.value, &kind, showing, &diagnostic::child(path, &entry.key))
            })
        }
    }
}
