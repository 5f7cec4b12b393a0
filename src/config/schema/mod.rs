//! Every key that the file knows: its shape, its default, and the name that Go's field gives it in the environment.
//!
//! One table serves four ends: environment variables find their key in it, defaults are filled in from it, the tree is
//! checked against it (so that all mistakes of a file are reported at once), and `config show` follows its order.
//! What a value *means* is not here but in the typed structs beside; a test holds the two together.

mod keys;

use serde::de::DeserializeOwned;

use super::Node;
use super::de::NodeError;

pub(crate) use keys::{ROOT, STORAGE};

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// As it is written in the file; empty for a part of a variable's name that stays in the same section.
    pub(crate) yaml: &'static str,
    /// The name of Go's field in capitals, where it is not the key itself.
    pub(crate) field: Option<&'static str>,
    pub(crate) kind: Kind,
    /// The default, in YAML.
    pub(crate) default: Option<&'static str>,
    /// How the value is shown, and what is below it.
    pub(crate) showing: Showing,
    /// What to do when the section is there and empty, where that must not mean that it is not there.
    pub(crate) never_blank: Option<&'static str>,
}

/// What may stand under a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One value; the function tries whether it can be read.
    Leaf(fn(&Node) -> Result<(), NodeError>),
    /// One value, and a bare number deserves a warning.
    Duration,
    /// A section, there even if the file does not mention it.
    Section(&'static [Key]),
    /// A section that means something by being there.
    Optional(&'static [Key]),
    /// A list.
    List(&'static Kind),
    /// A map with keys of the user's choosing.
    Map(&'static Kind),
    /// The parameters of a driver: these are known, but only the driver judges them.
    Parameters(&'static [Key]),
    /// A section in which one key is the choice, beside helpers.
    Choice(&'static Choice),
    /// Anything.
    Any,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Showing {
    /// As it is, but for what is secret in a URL.
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
    /// The choices that are known.
    pub(crate) known: &'static [Key],
    /// Whether there may be others.
    pub(crate) open: bool,
}

impl Choice {
    /// Every key that is known in the section.
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

    /// Names Go's field, where Distribution's variable is called after it.
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

    /// Keeps a regular expression from being taken for a URL.
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

const fn leaf<T: DeserializeOwned>() -> Kind {
    Kind::Leaf(reads::<T>)
}

fn reads<T: DeserializeOwned>(node: &Node) -> Result<(), NodeError> {
    node.read::<T>().map(drop)
}

#[cfg(test)]
mod tests;
