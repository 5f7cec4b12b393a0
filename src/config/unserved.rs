//! What Distribution does and this version does not: one table, which later versions make shorter.
//!
//! A setting whose loss somebody would not notice until it hurts keeps the registry from starting. Where the registry does
//! its work all the same, only somewhat slower or less talkative, a warning is enough.

use super::node::Content;
use super::{Finding, Node};

/// What is to be done about a setting that is not served.
#[derive(Clone, Copy, PartialEq)]
enum Stance {
    Refuse,
    Warn,
}

struct Row {
    path: &'static str,
    /// Whether the value asks for something; an empty or disabled section does not.
    asks: fn(&Node) -> bool,
    stance: Stance,
    message: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        path: "notifications.endpoints",
        asks: any_enabled,
        stance: Stance::Refuse,
        message: "notifications are not served by this version; remove the endpoints or set `disabled: true`",
    },
    Row {
        path: "middleware.registry",
        asks: any_enabled,
        stance: Stance::Refuse,
        message: "there is no middleware of this kind, here or in Distribution; remove the entries",
    },
    Row {
        path: "middleware.repository",
        asks: any_enabled,
        stance: Stance::Refuse,
        message: "there is no middleware of this kind, here or in Distribution; remove the entries",
    },
    Row {
        path: "http.tls.letsencrypt",
        asks: |_| true,
        stance: Stance::Refuse,
        message: "certificates are not fetched by this version; give `certificate` and `key`, which are read again \
                  whenever they change",
    },
    Row {
        path: "proxy.remoteurl",
        asks: |_| true,
        stance: Stance::Refuse,
        message: "the pull-through cache is not served by this version; remove `proxy`",
    },
    Row {
        path: "log.hooks",
        asks: any_enabled,
        stance: Stance::Refuse,
        message: "mail on errors is not served by this version; remove the hooks",
    },
    Row {
        path: "storage.cache.blobdescriptor",
        asks: |node| node.as_text().is_some_and(|text| text.eq_ignore_ascii_case("redis")),
        stance: Stance::Warn,
        message: "redis is not served by this version; descriptors are not cached, which is slower and no less right",
    },
    Row {
        path: "redis",
        asks: |_| true,
        stance: Stance::Warn,
        message: "redis is not served by this version, and nothing uses it",
    },
];

/// Settings that would be lost: those that keep the registry from starting, and those that deserve a warning.
pub(crate) fn unserved(root: &Node) -> (Vec<Finding>, Vec<Finding>) {
    let mut refused = Vec::new();
    let mut tolerated = Vec::new();
    for row in TABLE {
        if let Some(node) = root.at(row.path).filter(|node| (row.asks)(node)) {
            let findings = if row.stance == Stance::Refuse { &mut refused } else { &mut tolerated };
            findings.push(Finding::new(&node.origin, row.path, row.message));
        }
    }
    (refused, tolerated)
}

fn any_enabled(node: &Node) -> bool {
    node.items().iter().any(|item| !item.at("disabled").is_some_and(Node::is_true) && !is_empty(item))
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.content, Content::Null)
        || matches!(&node.content, Content::Map(entries) if entries.is_empty())
}
