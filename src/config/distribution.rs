//! How Distribution (`registry:3`) reads a configuration: for operators who may go back to it.

use super::drivers::BUNDLE_NAME;
use super::key::Kind;
use super::node::Content;
use super::root::ROOT;
use super::{Diagnostic, Loaded, Node, Origin, diagnostic};

/// How Distribution reads a configuration that this registry accepts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ForDistribution {
    /// Settings that keep Distribution from starting, that it reads differently, or without which it would be open.
    pub refused: Vec<Diagnostic>,
    /// Settings that Distribution ignores.
    pub ignored: Vec<Diagnostic>,
}

/// Inspects the settings of the file and of variables; defaults do not count.
pub fn for_distribution(loaded: &Loaded) -> ForDistribution {
    let mut found = ForDistribution::default();
    let root = &loaded.tree;
    if !root.at("version").is_some_and(is_written) {
        let message = "is missing, and Distribution requires it; write `version: 0.1`";
        found.refused.push(Diagnostic::new(&root.origin, "version", message));
    }
    let moved = loaded.warnings.iter().filter(|warning| warning.path == "storage.gc");
    found.refused.extend(moved.cloned());
    if let Some(purging) = root.at("storage.maintenance.uploadpurging") {
        let keys = ["enabled", "age", "interval", "dryrun"];
        let missing: Vec<&str> =
            keys.into_iter().filter(|key| !purging.at(key).is_some_and(is_written)).collect();
        if !missing.is_empty() && missing.len() < keys.len() {
            let message =
                format!("lacks `{}`, and Distribution panics; give all four keys", missing.join("`, `"));
            found.refused.push(Diagnostic::new(
                &purging.origin,
                "storage.maintenance.uploadpurging",
                message,
            ));
        }
    }
    if let Some(jwks) = root.at("auth.token.jwks").filter(|jwks| is_url(jwks)) {
        let message = "is a URL, which Distribution reads as a file name; give it a file";
        found.refused.push(Diagnostic::new(&jwks.origin, "auth.token.jwks", message));
    }
    if let Some(bundle) = root.at("storage").and_then(|storage| storage.entry(BUNDLE_NAME)) {
        let message =
            "is a driver that Distribution lacks; import the bundles into a store that it can serve";
        found.refused.push(Diagnostic::new(&bundle.key_origin, "storage.bundle", message));
    }
    found.refused.extend(
        root.at("access").filter(|access| is_written(access)).map(|access| open_to_all(root, access)),
    );
    ignored(root, &ROOT, "", &mut found.ignored);
    found
}

/// The effect on rules: Distribution ignores them, and has none of its own.
fn open_to_all(root: &Node, access: &Node) -> Diagnostic {
    let effect = match root.entry("auth").is_some_and(|auth| names_htpasswd(&auth.value)) {
        true => {
            "lets every user of the password file pull, push and delete everything, and lets no robot and no client without a \
             password in"
        }
        false => "lets EVERY client, without any login, pull, push and delete everything",
    };
    let message = format!(
        "is unknown to Distribution, which ignores the rules and {effect}; put a token server before it"
    );
    Diagnostic::new(first_written(access), "access", message)
}

fn names_htpasswd(auth: &Node) -> bool {
    auth.entry("htpasswd").is_some()
}

/// Finds written keys of ours below a node.
fn ignored(node: &Node, kind: &Kind, path: &str, found: &mut Vec<Diagnostic>) {
    if let Kind::List(item) = kind {
        for (index, node) in node.items().iter().enumerate() {
            ignored(node, item, &format!("{path}[{index}]"), found);
        }
    }
    for key in kind.keys() {
        let Some(entry) = node.entry(key.yaml).filter(|entry| is_written(&entry.value)) else { continue };
        let path = diagnostic::child(path, key.yaml);
        if key.is_ours {
            // Without rules it would be open: that is no oddity.
            if path != "access" {
                let message = "is unknown to Distribution, which ignores it";
                found.push(Diagnostic::new(first_written(&entry.value), path, message));
            }
        } else {
            ignored(&entry.value, &key.kind, &path, found);
        }
    }
}

/// Whether the node, or a node below it, has an origin other than the defaults.
fn is_written(node: &Node) -> bool {
    match &node.content {
        Content::Map(entries) => entries.iter().any(|entry| is_written(&entry.value)),
        Content::List(items) => items.iter().any(is_written) || node.origin != Origin::Default,
        Content::Null | Content::Scalar(_) => node.origin != Origin::Default,
    }
}

fn first_written(node: &Node) -> &Origin {
    match node.entries().iter().find(|entry| is_written(&entry.value)) {
        Some(entry) if node.origin == Origin::Default => first_written(&entry.value),
        _ => &node.origin,
    }
}

fn is_url(node: &Node) -> bool {
    node.as_text().is_some_and(|text| text.contains("://"))
}
