//! Tree against table: every unknown key and every unreadable value of a file, all at once.

use super::node::Content;
use super::schema::{Choice, Key, Kind};
use super::{Finding, Node, finding, spelling};

/// Everything in the tree that has no place in the table, or the wrong type.
pub(crate) fn mistakes(root: &Node, kind: &Kind) -> Vec<Finding> {
    let mut findings = Vec::new();
    inspect(root, kind, "", &mut findings);
    findings
}

fn inspect(node: &Node, kind: &Kind, path: &str, findings: &mut Vec<Finding>) {
    match kind {
        Kind::Leaf(reads) => {
            if let Err(error) = reads(node) {
                findings.push(error.into_finding(path));
            }
        }
        Kind::Duration => {
            if let Err(error) = node.read::<super::values::GoDuration>() {
                findings.push(error.into_finding(path));
            }
        }
        Kind::Section(keys) | Kind::Optional(keys) => section(node, keys, path, findings),
        Kind::Choice(choice) => choices(node, choice, path, findings),
        Kind::List(item) => {
            if !matches!(node.content, Content::List(_)) {
                findings.push(expected("a list", node, path));
            }
            for (index, node) in node.items().iter().enumerate() {
                inspect(node, item, &format!("{path}[{index}]"), findings);
            }
        }
        Kind::Map(value) => {
            if !matches!(node.content, Content::Map(_)) {
                findings.push(expected("a map", node, path));
            }
            for entry in node.entries().iter().filter(|entry| !entry.value.is_null()) {
                inspect(&entry.value, value, &finding::child(path, &entry.key), findings);
            }
        }
        Kind::Parameters(_) => {
            if !matches!(node.content, Content::Map(_)) {
                findings.push(expected("a map of the driver's parameters", node, path));
            }
        }
        Kind::Any => {}
    }
}

fn section(node: &Node, keys: &[Key], path: &str, findings: &mut Vec<Finding>) {
    if !matches!(node.content, Content::Map(_)) {
        findings.push(expected("a section of keys", node, path));
    }
    for entry in node.entries() {
        let path = finding::child(path, &entry.key);
        match keys.iter().find(|key| key.yaml == entry.key && !key.yaml.is_empty()) {
            Some(key) => inspect(&entry.value, &key.kind, &path, findings),
            None => {
                let known = keys.iter().map(|key| key.yaml).filter(|name| !name.is_empty());
                let message = format!("unknown key{}", spelling::hint(&entry.key, known));
                findings.push(Finding::new(&entry.key_origin, path, message));
            }
        }
    }
}

fn choices(node: &Node, choice: &Choice, path: &str, findings: &mut Vec<Finding>) {
    if !matches!(node.content, Content::Map(_)) {
        findings.push(expected("a section of keys", node, path));
    }
    for entry in node.entries() {
        let path = finding::child(path, &entry.key);
        match choice.keys().find(|key| key.yaml == entry.key) {
            Some(key) => inspect(&entry.value, &key.kind, &path, findings),
            None if choice.open && entry.value.as_text().is_some() => {
                let message = match owner(&entry.key, choice) {
                    Some(driver) => format!(
                        "is a parameter of the driver `{driver}`; indent it further than `{driver}:` above it"
                    ),
                    None => format!(
                        "unknown key{}",
                        spelling::hint(&entry.key, choice.helpers.iter().map(|key| key.yaml))
                    ),
                };
                findings.push(Finding::new(&entry.key_origin, path, message));
            }
            None if choice.open => inspect(&entry.value, &Kind::Parameters(&[]), &path, findings),
            None => {
                let message =
                    format!("unknown key{}", spelling::hint(&entry.key, choice.keys().map(|key| key.yaml)));
                findings.push(Finding::new(&entry.key_origin, path, message));
            }
        }
    }
}

/// The driver that has such a parameter.
fn owner(parameter: &str, choice: &Choice) -> Option<&'static str> {
    let has = |key: &&Key| match key.kind {
        Kind::Parameters(known) => known.iter().any(|known| known.yaml == parameter),
        _ => false,
    };
    choice.known.iter().find(has).map(|key| key.yaml)
}

fn expected(what: &str, node: &Node, path: &str) -> Finding {
    Finding::new(&node.origin, path, format!("expected {what}, found {}", node.kind_name()))
}
