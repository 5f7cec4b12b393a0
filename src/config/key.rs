//! `Key`: the row of a key of the file.
//!
//! Each section declares its rows beside its fields, by [`section!`](crate::section). A row serves every stage: variables find
//! their key by it, defaults come from it, the tree is checked against it (so that one run reports all mistakes of a file),
//! `config show` follows its order and hides its secrets, and a test compares `docs/configuration.md` with it.

use super::section::Value;
use super::{Node, NodeError};

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
    pub(crate) showing: Disclosure,
    /// The remedy for an empty section, if an empty section must not count as absent.
    pub(crate) never_blank: Option<&'static str>,
    pub(crate) effect: Effect,
    /// Whether Distribution lacks the key.
    pub(crate) is_ours: bool,
    /// Whether the section cannot be read without it.
    pub(crate) is_required: bool,
    /// The documentation of the key, in Markdown.
    pub(crate) meaning: &'static str,
    /// The documentation of the default, where that is not `default`.
    pub(crate) default_meaning: Option<&'static str>,
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
    List(&'static Self),
    /// A map with keys that the user chooses.
    Map(&'static Self),
    /// The parameters of a driver. Lists the known ones; only the driver checks them.
    Parameters(&'static [Key]),
    /// A section with one key as the choice, next to helpers.
    Choice(&'static Choice),
    /// Anything.
    Any,
}

/// How to show a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disclosure {
    /// As it is, except for secrets in a URL.
    Usual,
    /// As it is.
    Verbatim,
    /// As `***`.
    Never,
}

/// The effect of a key in this version.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// The registry does what the key asks for.
    Served,
    /// None, which a warning says.
    Idle,
    /// The key keeps the registry from starting, since its loss could go unnoticed until it causes damage.
    Unserved(Unserved),
}

/// A key of Distribution that this version does not serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unserved {
    /// The key below that asks for something; empty for the value itself.
    pub(crate) below: &'static str,
    /// Whether the value asks for something; an empty or disabled section does not.
    pub(crate) asks: fn(&Node) -> bool,
    /// The remedy.
    pub(crate) message: &'static str,
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
        self.known.iter().chain(self.helpers)
    }

    /// Whether `key` is a helper rather than a choice.
    pub(crate) fn is_helper(&self, key: &str) -> bool {
        self.helpers.iter().any(|helper| helper.yaml == key)
    }
}

impl Kind {
    /// The keys of a section, in the order in which `config show` prints them.
    pub(crate) fn keys(&self) -> Vec<&'static Key> {
        match self {
            Self::Section(keys) | Self::Optional(keys) | Self::Parameters(keys) => keys.iter().collect(),
            Self::Choice(choice) => choice.keys().collect(),
            Self::Leaf(_) | Self::Duration | Self::List(_) | Self::Map(_) | Self::Any => Vec::new(),
        }
    }

    /// The kind of a value in a list or map.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::List(item) | Self::Map(item) => **item,
            _ => Self::Any,
        }
    }
}

impl Key {
    /// A key for a `T`.
    pub(crate) const fn of<T: Value>(yaml: &'static str) -> Self {
        let mut key = Self::new(yaml, T::KIND);
        key.showing = T::SHOWING;
        key.is_required = T::IS_REQUIRED;
        key
    }

    /// A key of a kind.
    pub(crate) const fn new(yaml: &'static str, kind: Kind) -> Self {
        Self {
            yaml,
            field: None,
            kind,
            default: None,
            showing: Disclosure::Usual,
            never_blank: None,
            effect: Effect::Served,
            is_ours: false,
            is_required: false,
            meaning: "",
            default_meaning: None,
        }
    }

    /// Documents the key.
    pub(crate) const fn meaning(mut self, meaning: &'static str) -> Self {
        self.meaning = meaning;
        self
    }

    /// Sets the default, in YAML.
    pub(crate) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Documents the default, in Markdown.
    pub(crate) const fn default_meaning(mut self, meaning: &'static str) -> Self {
        self.default_meaning = Some(meaning);
        self
    }

    /// Sets the name of Go's field, where Distribution's variable has that name.
    pub(crate) const fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Says that Distribution lacks the key.
    pub(crate) const fn ours(mut self) -> Self {
        self.is_ours = true;
        self
    }

    /// Says that the key has no effect.
    pub(crate) const fn idle(mut self) -> Self {
        self.effect = Effect::Idle;
        self
    }

    /// Says that this version does not serve the key.
    pub(crate) const fn unserved(mut self, unserved: Unserved) -> Self {
        self.effect = Effect::Unserved(unserved);
        self
    }

    /// Makes an empty section a mistake with this remedy.
    pub(crate) const fn never_blank(mut self, remedy: &'static str) -> Self {
        self.never_blank = Some(remedy);
        self
    }

    /// Whether a part of a variable's name means this key.
    pub(crate) fn is_called(&self, part: &str) -> bool {
        (!self.yaml.is_empty() && self.yaml.eq_ignore_ascii_case(part))
            || self.field.is_some_and(|field| field.eq_ignore_ascii_case(part))
    }
}
