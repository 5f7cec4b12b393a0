//! Checks the tree against the rows of its keys: reports every unknown key and every unreadable value of a file at once.

use super::key::{Choice, Key, Kind};
use super::node::{Content, Entry};
use super::scalar::PlainScalar;
use super::{Diagnostic, Node, diagnostic, suggest};

/// Every key of the tree that has no row, and every value of the wrong type.
pub(crate) fn mistakes(root: &Node, kind: &Kind) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    inspect(root, kind, &SectionPath { path: "", keys: Keys::None, outer: None }, &mut diagnostics);
    diagnostics
}

/// A section on the path to a value, to find the owner of a misplaced key.
struct SectionPath<'a> {
    path: &'a str,
    keys: Keys,
    outer: Option<&'a Self>,
}

#[derive(Clone, Copy)]
enum Keys {
    None,
    Of(&'static [Key]),
    Choice(&'static Choice),
}

impl Keys {
    fn have(self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Of(keys) => keys.iter().any(|key| key.yaml == name && !name.is_empty()),
            Self::Choice(choice) => choice.helpers.iter().any(|key| key.yaml == name),
        }
    }
}

impl SectionPath<'_> {
    /// Names the enclosing section that has a key of this name, if any.
    fn owner(&self, key: &str) -> Option<String> {
        let mut next = self.outer;
        while let Some(place) = next {
            if place.keys.have(key) {
                return Some(match place.path {
                    "" => format!("`{key}` is a section of its own at the top of the file: do not indent it"),
                    path => format!("`{key}` belongs to `{path}`: indent it as far as the other keys there"),
                });
            }
            next = place.outer;
        }
        None
    }

    fn unknown<'k>(&self, key: &str, known: impl Iterator<Item = &'k str>) -> String {
        match self.owner(key) {
            Some(owner) => format!("is in the wrong section; {owner}"),
            None => format!("unknown key{}", suggest::hint(key, known)),
        }
    }
}

fn inspect(node: &Node, kind: &Kind, place: &SectionPath<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let path = place.path;
    match kind {
        Kind::Leaf(reads) => {
            if let Err(error) = reads(node) {
                diagnostics.push(error.into_diagnostic(path));
            }
        }
        Kind::Duration => {
            if let Err(error) = node.read::<super::values::GoDuration>() {
                diagnostics.push(error.into_diagnostic(path));
            }
        }
        Kind::Section(keys) | Kind::Optional(keys) => {
            section(node, keys, &SectionPath { keys: Keys::Of(keys), ..*place }, diagnostics);
        }
        Kind::Choice(choice) => {
            choices(node, choice, &SectionPath { keys: Keys::Choice(choice), ..*place }, diagnostics);
        }
        Kind::List(item) => {
            if !matches!(node.content, Content::List(_)) {
                diagnostics.push(expected("a list", node, path));
            }
            for (index, node) in node.items().iter().enumerate() {
                let path = format!("{path}[{index}]");
                inspect(
                    node,
                    item,
                    &SectionPath { path: &path, keys: Keys::None, outer: Some(place) },
                    diagnostics,
                );
            }
        }
        Kind::Map(value) => {
            if !matches!(node.content, Content::Map(_)) {
                diagnostics.push(expected("a map", node, path));
            }
            for entry in node.entries().iter().filter(|entry| !entry.value.is_null()) {
                let path = diagnostic::child(path, &entry.key);
                let place = SectionPath { path: &path, keys: Keys::None, outer: Some(place) };
                inspect(&entry.value, value, &place, diagnostics);
            }
        }
        Kind::Parameters(known) => parameters(node, known, place, diagnostics),
        Kind::Any => {}
    }
}

/// Finds parameters that belong to another section. Only the driver checks the parameters themselves.
fn parameters(node: &Node, known: &[Key], place: &SectionPath<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if !matches!(node.content, Content::Map(_)) {
        diagnostics.push(expected("a map of the driver's parameters", node, place.path));
    }
    for entry in node.entries().iter().filter(|entry| matches!(entry.value.content, Content::Map(_))) {
        let is_known = known.iter().any(|key| key.yaml == entry.key);
        if let Some(owner) = place.owner(&entry.key).filter(|_| !is_known && !known.is_empty()) {
            let path = diagnostic::child(place.path, &entry.key);
            diagnostics.push(Diagnostic::new(
                &entry.key_origin,
                path,
                format!("is in the wrong section; {owner}"),
            ));
        }
    }
}

fn section(node: &Node, keys: &'static [Key], place: &SectionPath<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if !matches!(node.content, Content::Map(_)) {
        let mut diagnostic = expected("a section of keys", node, place.path);
        if let (Some(key), Content::Scalar(scalar)) = (switch(keys), &node.content)
            && let PlainScalar::Bool(flag) = scalar.meaning()
        {
            let name = place.path.rsplit('.').next().unwrap_or_default();
            diagnostic.message.push_str(&format!("; write `{name}: {{ {key}: {flag} }}`"));
        }
        diagnostics.push(diagnostic);
    }
    for entry in node.entries() {
        let path = diagnostic::child(place.path, &entry.key);
        match keys.iter().find(|key| key.yaml == entry.key && !key.yaml.is_empty()) {
            Some(key) => {
                let place = SectionPath { path: &path, keys: Keys::None, outer: Some(place) };
                inspect(&entry.value, &key.kind, &place, diagnostics);
            }
            None => {
                let known = keys.iter().map(|key| key.yaml).filter(|name| !name.is_empty());
                diagnostics.push(Diagnostic::new(&entry.key_origin, path, place.unknown(&entry.key, known)));
            }
        }
    }
}

/// The key that turns a section on or off.
fn switch(keys: &[Key]) -> Option<&'static str> {
    keys.iter().map(|key| key.yaml).find(|name| matches!(*name, "enabled" | "disable" | "disabled"))
}

fn choices(node: &Node, choice: &'static Choice, place: &SectionPath<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if !matches!(node.content, Content::Map(_)) {
        diagnostics.push(expected("a section of keys", node, place.path));
    }
    let is_known = |entry: &&Entry| choice.known.iter().any(|key| key.yaml == entry.key);
    let is_chosen = node.entries().iter().filter(is_known).count() == 1;
    for entry in node.entries() {
        let path = diagnostic::child(place.path, &entry.key);
        let below = SectionPath { path: &path, keys: Keys::None, outer: Some(place) };
        let mut tell = |message| diagnostics.push(Diagnostic::new(&entry.key_origin, path.clone(), message));
        match choice.keys().find(|key| key.yaml == entry.key) {
            Some(key) => inspect(&entry.value, &key.kind, &below, diagnostics),
            None if choice.open && place.owner(&entry.key).is_some() => {
                tell(place.unknown(&entry.key, std::iter::empty()));
            }
            None if choice.open && entry.value.as_text().is_some() => tell(match owner(&entry.key, choice) {
                Some(driver) => format!(
                    "is a parameter of the driver `{driver}`; indent it further than `{driver}:` above it"
                ),
                None => place.unknown(&entry.key, choice.helpers.iter().map(|key| key.yaml)),
            }),
            // Beside a driver it is no second one, but a misspelt helper.
            None if choice.open && is_chosen => {
                tell(place.unknown(&entry.key, choice.helpers.iter().map(|key| key.yaml)));
            }
            None if choice.open => inspect(&entry.value, &Kind::Parameters(&[]), &below, diagnostics),
            None => tell(place.unknown(&entry.key, choice.keys().map(|key| key.yaml))),
        }
    }
}

/// The driver that has this parameter.
fn owner(parameter: &str, choice: &Choice) -> Option<&'static str> {
    let has = |key: &&Key| match key.kind {
        Kind::Parameters(known) => known.iter().any(|known| known.yaml == parameter),
        _ => false,
    };
    choice.known.iter().find(has).map(|key| key.yaml)
}

fn expected(what: &str, node: &Node, path: &str) -> Diagnostic {
    Diagnostic::new(&node.origin, path, format!("expected {what}, found {}", node.kind_name()))
}
