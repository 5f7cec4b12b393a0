//! How Distribution (`registry:3`) reads a configuration: for operators who may go back to it.

use super::node::Content;
use super::{Diagnostic, Loaded, Node, Origin};

/// How Distribution reads a configuration that this registry accepts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ForDistribution {
    /// Settings that keep Distribution from starting, or that it reads differently.
    pub refused: Vec<Diagnostic>,
    /// Settings that Distribution ignores.
    pub ignored: Vec<Diagnostic>,
}

/// Keys of ours that Distribution ignores; `[]` means each item of a list.
const IGNORED: &[&str] = &[
    "gc",
    "auth.token.jwksca",
    "auth.token.jwksrefresh",
    "http.trustedproxies",
    "http.debug.hosts",
    "http.debug.prometheus.repositories",
    "http.limits",
    "health.diskspace",
    "notifications.queue",
    "notifications.endpoints[].secret",
    "storage.inmemory.maxsize",
    "storage.s3.cafile",
    "storage.s3.redirectexpiry",
    "storage.s3.uploadbuffer",
    "storage.s3aws.cafile",
    "storage.s3aws.redirectexpiry",
    "storage.s3aws.uploadbuffer",
    "storage.gcs.cafile",
    "storage.gcs.redirectexpiry",
    "storage.gcs.uploadbuffer",
    "storage.azure.cafile",
    "storage.azure.redirectexpiry",
    "storage.azure.uploadbuffer",
];

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
    for path in IGNORED {
        ignored(root, path, "", &mut found.ignored);
    }
    found
}

fn ignored(node: &Node, path: &str, above: &str, found: &mut Vec<Diagnostic>) {
    if let Some((list, item)) = path.split_once("[].") {
        for (index, node) in node.at(list).map(Node::items).unwrap_or_default().iter().enumerate() {
            ignored(node, item, &format!("{list}[{index}]."), found);
        }
    } else if let Some(node) = node.at(path).filter(|node| is_written(node)) {
        let message = "is unknown to Distribution, which ignores it";
        found.push(Diagnostic::new(first_written(node), format!("{above}{path}"), message));
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
