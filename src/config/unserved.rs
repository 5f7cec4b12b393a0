//! Settings of Distribution that this version does not serve.
//!
//! Such a setting keeps the registry from starting, since its loss could go unnoticed until it causes damage.

use super::key::{Effect, Key, Kind};
use super::node::Content;
use super::{Diagnostic, Node, diagnostic};

/// The unserved settings in the tree, each of which keeps the registry from starting.
pub(crate) fn unserved(root: &Node, kind: &Kind) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    look(root, kind, "", &mut found);
    found
}

fn look(root: &Node, kind: &Kind, path: &str, found: &mut Vec<Diagnostic>) {
    for key in kind.keys() {
        let path = diagnostic::child(path, key.yaml);
        let Key { effect: Effect::Unserved(unserved), .. } = key else {
            look(root, &key.kind, &path, found);
            continue;
        };
        let asking = match unserved.below {
            "" => path,
            below => diagnostic::child(&path, below),
        };
        if let Some(node) = root.at(&asking).filter(|node| (unserved.asks)(node)) {
            found.push(Diagnostic::new(&node.origin, asking, unserved.message));
        }
    }
}

/// Whether an entry of a list is neither disabled nor empty.
pub(crate) fn any_enabled(list: &Node) -> bool {
    let is_empty = |item: &Node| match &item.content {
        Content::Null => true,
        Content::Map(entries) => entries.is_empty(),
        Content::Scalar(_) | Content::List(_) => false,
    };
    list.items().iter().any(|item| !item.at("disabled").is_some_and(Node::is_true) && !is_empty(item))
}
