//! Settings of Distribution that this version does not support, in one table.
//!
//! Such a setting keeps the registry from starting, since its loss could go unnoticed until it causes damage.

use super::node::Content;
use super::{Diagnostic, Node};

struct Row {
    path: &'static str,
    /// Whether the value has a meaning; an empty or disabled section has none.
    asks: fn(&Node) -> bool,
    message: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        path: "middleware.registry",
        asks: any_enabled,
        message: "there is no middleware of this kind in this registry or in Distribution; remove the entries",
    },
    Row {
        path: "middleware.repository",
        asks: any_enabled,
        message: "there is no middleware of this kind in this registry or in Distribution; remove the entries",
    },
    Row {
        path: "http.tls.letsencrypt",
        asks: |_| true,
        message: "this version fetches no certificates; give `certificate` and `key`, which it reads again when they change",
    },
    Row {
        path: "proxy.remoteurl",
        asks: |_| true,
        message: "this version has no pull-through cache; remove `proxy`",
    },
    Row {
        path: "log.hooks",
        asks: any_enabled,
        message: "this version sends no mail on errors; remove the hooks",
    },
];

/// The unsupported settings in the tree, each of which keeps the registry from starting.
pub(crate) fn unserved(root: &Node) -> Vec<Diagnostic> {
    let mut refused = Vec::new();
    for row in TABLE {
        if let Some(node) = root.at(row.path).filter(|node| (row.asks)(node)) {
            refused.push(Diagnostic::new(&node.origin, row.path, row.message));
        }
    }
    refused
}

fn any_enabled(node: &Node) -> bool {
    node.items().iter().any(|item| !item.at("disabled").is_some_and(Node::is_true) && !is_empty(item))
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.content, Content::Null)
        || matches!(&node.content, Content::Map(entries) if entries.is_empty())
}
