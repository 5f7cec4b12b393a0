//! Every key of the file: its kind, its default, and the name of Go's field for it in the environment.
//!
//! One table serves four purposes: environment variables find their key in it, defaults come from it, the tree is checked
//! against it (so that all mistakes of a file are reported at once), and `config show` follows its order. The typed structs
//! hold the meaning of a value; a test compares them with the table.

mod keys;

use serde::de::DeserializeOwned;

use super::Node;
use super::de::NodeError;

pub(crate) use keys::{ROOT, STORAGE};

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The name in the file; empty for a part of a variable's name that stays in the same section.
    pub(crate) yaml: &'static str,
    /// The name of Go's field in capitals, if it differs from the key.
    pub(crate) field: Option<&'static str>,
    pub(crate) kind: Kind,
    /// The default, in YAML.
    pub(crate) default: Option<&'static str>,
    /// How to show the value and everything below it.
    pub(crate) showing: Showing,
    /// The remedy for an empty section, if an empty section must not count as absent.
    pub(crate) never_blank: Option<&'static str>,
}

/// The kind of value under a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One value; the function checks that it can be read.
    Leaf(fn(&Node) -> Result<(), NodeError>),
    /// One value; a bare number causes a warning.
    Duration,
    /// A section that exists even if the file does not mention it.
    Section(&'static [Key]),
    /// A section whose presence has a meaning.
    Optional(&'static [Key]),
    /// A list.
    List(&'static Kind),
    /// A map with keys that the user chooses.
    Map(&'static Kind),
    /// The parameters of a driver. Lists the known ones; only the driver checks them.
    Parameters(&'static [Key]),
    /// A section with one key as the choice, next to helpers.
    Choice(&'static Choice),
    /// Anything.
    Any,
}

/// How to show a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Showing {
    /// As it is, except for secrets in a URL.
    Usual,
    /// As it is.
    Verbatim,
    /// As `***`.
    Never,
}

/// `storage` and `auth`: one key names the kind, and its value holds the parameters.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Keys that are not choices.
    pub(crate) helpers: &'static [Key],
    /// The known choices.
    pub(crate) known: &'static [Key],
    /// Whether other choices may exist.
    pub(crate) open: bool,
}

impl Choice {
    /// Every known key of the section.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.helpers.iter().chain(self.known)
    }

    /// Whether `key` is a helper rather than a choice.
    pub(crate) fn is_helper(&self, key: &str) -> bool {
        self.helpers.iter().any(|helper| helper.yaml == key)
    }
}

impl Key {
    const fn new(yaml: &'static str, kind: Kind) -> Self {
        Self { yaml, field: None, kind, default: None, showing: Showing::Usual, never_blank: None }
    }

    /// Sets the name of Go's field, where Distribution's variable has that name.
    const fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn secret(mut self) -> Self {
        self.showing = Showing::Never;
        self
    }

    /// Prevents a regular expression from being taken for a URL.
    const fn verbatim(mut self) -> Self {
        self.showing = Showing::Verbatim;
        self
    }

    /// Makes an empty section a mistake with this remedy.
    const fn never_blank(mut self, remedy: &'static str) -> Self {
        self.never_blank = Some(remedy);
        self
    }

    /// Whether a part of a variable's name means this key.
    pub(crate) fn is_called(&self, part: &str) -> bool {
        (!self.yaml.is_empty() && self.yaml.eq_ignore_ascii_case(part))
            || self.field.is_some_and(|field| field.eq_ignore_ascii_case(part))
    }
}

/// The parameters of the driver `name` that variables can set; empty for a driver that this crate does not know.
pub fn driver_parameters(name: &str) -> Vec<&'static str> {
    match STORAGE.known.iter().find(|key| key.yaml == name).map(|key| key.kind) {
        Some(Kind::Parameters(keys)) => keys.iter().map(|key| key.yaml).collect(),
        _ => Vec::new(),
    }
}

const fn leaf<T: DeserializeOwned>() -> Kind {
    Kind::Leaf(reads::<T>)
}

fn reads<T: DeserializeOwned>(node: &Node) -> Result<(), NodeError> {
    node.read::<T>().map(drop)
}

#[cfg(test)]
mod tests;
