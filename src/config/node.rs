//! `Node`: the merged configuration as a tree, each value with its origin.

use std::fmt;

use super::Origin;
use super::scalar::{self, PlainScalar};

/// A value of the configuration and where it came from.
#[derive(Clone)]
pub struct Node {
    /// The place of the value.
    pub origin: Origin,
    /// The value.
    pub(crate) content: Content,
}

/// The kinds of value in YAML.
#[derive(Clone)]
pub(crate) enum Content {
    /// Nothing: `key:` or `key: ~`.
    Null,
    /// A single word, number or text.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A scalar as it was written.
#[derive(Clone)]
pub(crate) struct Scalar {
    /// The text, with escapes resolved.
    pub(crate) text: String,
    /// Whether it is text in any case: quoted, a block, or tagged as text.
    pub(crate) quoted: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The place of the key, which for a mapping in block style is the line before its value.
    pub key_origin: Origin,
    /// The value.
    pub value: Node,
}

impl Node {
    pub(crate) fn null(origin: &Origin) -> Self {
        Self { origin: origin.clone(), content: Content::Null }
    }

    pub(crate) fn empty_map(origin: &Origin) -> Self {
        Self { origin: origin.clone(), content: Content::Map(Vec::new()) }
    }

    /// Text that is never read as a number or flag.
    pub(crate) fn text(origin: &Origin, text: &str) -> Self {
        let scalar = Scalar { text: text.to_owned(), quoted: true };
        Self { origin: origin.clone(), content: Content::Scalar(scalar) }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// The text of a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether this is an unquoted `true` in one of its spellings.
    pub(crate) fn is_true(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.meaning() == PlainScalar::Bool(true))
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of a mapping with this exact key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value at a dotted path, such as `http.tls` or `health.tcp[0].addr`, unless it is absent or null.
    pub fn at(&self, path: &str) -> Option<&Node> {
        let mut node = self;
        for key in path.split('.') {
            node = match key.strip_suffix(']').and_then(|key| key.split_once('[')) {
                Some((list, index)) => node.entry(list)?.value.items().get(index.parse::<usize>().ok()?)?,
                None => &node.entry(key)?.value,
            };
        }
        (!node.is_null()).then_some(node)
    }

    /// The entries, mutable; replaces anything else by an empty mapping.
    pub(crate) fn make_map(&mut self) -> &mut Vec<Entry> {
        if !matches!(self.content, Content::Map(_)) {
            self.content = Content::Map(Vec::new());
        }
        match &mut self.content {
            Content::Map(entries) => entries,
            _ => unreachable!("it was made a mapping above"),
        }
    }

    /// Removes an entry of a mapping and returns it.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let Content::Map(entries) = &mut self.content else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// Removes the value at a dotted path (see [`at`](Self::at)) from the tree. For an item of a list it removes the whole
    /// list, since the other items would move.
    pub(crate) fn remove_at(&mut self, path: &str) {
        let (key, rest) = match path.split_once('.') {
            Some((key, rest)) => (key, Some(rest)),
            None => (path, None),
        };
        if key.contains('[') {
            let list = key.split('[').next().unwrap_or_default();
            self.remove(list);
            return;
        }
        let Content::Map(entries) = &mut self.content else { return };
        // A key may itself hold a dot.
        if entries.iter().any(|entry| entry.key == path) || rest.is_none() {
            self.remove(path);
        } else if let (Some(entry), Some(rest)) = (entries.iter_mut().find(|entry| entry.key == key), rest) {
            entry.value.remove_at(rest);
        }
    }

    /// The name of this kind in a message.
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Scalar(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

impl Scalar {
    /// The meaning of the scalar where no type is expected.
    pub(crate) fn meaning(&self) -> PlainScalar {
        if self.quoted { PlainScalar::Text } else { scalar::resolve(&self.text) }
    }
}

/// Equality ignores quotes that change nothing.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        let is_text = |scalar: &Self| scalar.meaning() == PlainScalar::Text;
        self.text == other.text && is_text(self) == is_text(other)
    }
}

/// The order of keys means nothing: a file that is only arranged again is the same configuration.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Scalar(one), Self::Scalar(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one.len() == other.len() && by_key(one) == by_key(other),
            (Self::Null | Self::Scalar(_) | Self::List(_) | Self::Map(_), _) => false,
        }
    }
}

fn by_key(entries: &[Entry]) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    entries
}

/// Equality ignores origins.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// Shows keys but no values, since any value may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Null => f.write_str("null"),
            Content::Scalar(_) => f.write_str("_"),
            Content::List(items) => f.debug_list().entries(items).finish(),
            Content::Map(entries) => {
                f.debug_map().entries(entries.iter().map(|entry| (&entry.key, &entry.value))).finish()
            }
        }
    }
}
