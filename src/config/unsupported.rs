//! What Distribution does and this version does not: one table, which later versions make shorter.
//!
//! A setting whose loss somebody would not notice until it hurts keeps the registry from starting.

use super::node::Content;
use super::{Diagnostic, Node};

struct Row {
    path: &'static str,
    /// Whether the value asks for something; an empty or disabled section does not.
    asks: fn(&Node) -> bool,
    message: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        path: "middleware.registry",
        asks: any_enabled,
        message: "there is no middleware of this kind, here or in Distribution; remove the entries",
    },
    Row {
        path: "middleware.repository",
        asks: any_enabled,
        message: "there is no middleware of this kind, here or in Distribution; remove the entries",
    },
    Row {
        path: "http.tls.letsencrypt",
        asks: |_| true,
        message: "certificates are not fetched by this version; give `certificate` and `key`, which are read again \
                  whenever they change",
    },
    Row {
        path: "proxy.remoteurl",
        asks: |_| true,
        message: "the pull-through cache is not served by this version; remove `proxy`",
    },
    Row {
        path: "log.hooks",
        asks: any_enabled,
        message: "mail on errors is not served by this version; remove the hooks",
    },
];

/// Settings that would be lost, each of which keeps the registry from starting.
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
