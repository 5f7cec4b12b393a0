//! [`Node`] → typed values: the serde deserializer whose errors know the key and its place.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::node::{Content, Entry, Scalar};
use super::scalar::PlainScalar;
use super::secret::is_secret_name;
use super::{Diagnostic, Node, Origin, diagnostic, environment, suggest};

/// A value that does not fit its type, with the path to it.
#[derive(Debug)]
pub struct NodeError {
    origin: Option<Origin>,
    /// The path from the value upwards: the innermost key first.
    path: Vec<Segment>,
    message: Message,
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
enum Message {
    Plain(String),
    /// A key without a default is missing.
    Missing(&'static str),
    /// Separate fields, so that a secret value can be left out of the message.
    Mismatch {
        expected: String,
        found: String,
    },
}

impl Node {
    /// Reads the tree as a `T`.
    ///
    /// # Errors
    ///
    /// If a value does not fit its type, or a key is missing or unknown.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        T::deserialize(NodeDeserializer(self)).map_err(|error| error.located(&self.origin))
    }
}

impl NodeError {
    fn new(message: Message) -> Self {
        Self { origin: None, path: Vec::new(), message }
    }

    /// The key `field` is missing.
    pub(crate) fn missing(field: &'static str) -> Self {
        Self::new(Message::Missing(field))
    }

    /// The value is of another kind.
    pub(crate) fn mismatch(expected: &str, found: &Node) -> Self {
        let message =
            Message::Mismatch { expected: expected.to_owned(), found: found.kind_name().to_owned() };
        Self::new(message).located(&found.origin)
    }

    /// The value is refused for another reason.
    pub(crate) fn refusal(reason: impl Into<String>) -> Self {
        Self::new(Message::Plain(reason.into()))
    }

    /// The diagnostic to show, where the tree that was read is the value of the key `path`.
    pub fn into_diagnostic(self, path: &str) -> Diagnostic {
        let mut path = path.to_owned();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Key(key) => path = diagnostic::child(&path, key),
                Segment::Index(index) => path = format!("{path}[{index}]"),
            }
        }
        let origin = self.origin.unwrap_or(Origin::Default);
        let message = match (&self.message, &origin) {
            // Another variable supplies the missing key, so the message names that variable.
            (Message::Missing(field), Origin::Environment(_)) => {
                format!("{} ({})", self.message, environment::variable(&diagnostic::child(&path, field)))
            }
            (message, _) => message.to_string(),
        };
        Diagnostic { origin, path, message }
    }

    /// Adds the place of the value, unless a place within it is known.
    pub(crate) fn located(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    /// Adds the place of the value; a default has none, and the section around it is the nearest place.
    pub(crate) fn located_above(self, origin: &Origin, section: &Origin) -> Self {
        self.located(if *origin == Origin::Default { section } else { origin })
    }

    /// Adds the key of the value to the path.
    pub(crate) fn under_key(mut self, key: &str) -> Self {
        if let Message::Mismatch { found, .. } = &mut self.message
            && is_secret_name(key)
        {
            "a value that is hidden".clone_into(found);
        }
        self.path.push(Segment::Key(key.to_owned()));
        self
    }

    /// Adds the index of the value to the path.
    pub(crate) fn under_index(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    fn custom_at(origin: &Origin, message: &str) -> Self {
        <Self as de::Error>::custom(message).located(origin)
    }
}

/// Serde calls numbers by Rust's types.
fn in_words(expected: String) -> String {
    match expected.as_str() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ => return expected,
    }
    .to_owned()
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "the key `{field}` is missing"),
            Self::Plain(text) => f.write_str(text),
            Self::Mismatch { expected, found } => write!(f, "expected {expected}, found {found}"),
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl std::error::Error for NodeError {}

impl de::Error for NodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Message::Plain(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Message::Mismatch { expected: in_words(expected.to_string()), found: describe(found) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let expected = format!("one of {}", expected.join(", "));
        Self::new(Message::Mismatch { expected, found: format!("`{variant}`") })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        // The map adds the key to the path.
        Self::custom(format!("unknown key{}", suggest::hint(field, expected.iter().copied())))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Message::Missing(field))
    }
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Bool(flag) => format!("`{flag}`"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        other => other.to_string(),
    }
}

impl Scalar {
    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, NodeError> {
        match self.meaning() {
            PlainScalar::Null => visitor.visit_unit(),
            PlainScalar::Bool(flag) => visitor.visit_bool(flag),
            PlainScalar::Float(number) => visitor.visit_f64(number),
            PlainScalar::Text => visitor.visit_str(&self.text),
            PlainScalar::Int(number) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(number),
            },
        }
    }
}

/// A node being read. Text keeps its spelling; everything else has the meaning that YAML gives it.
///
/// A quoted flag is text, as in Distribution.
#[derive(Clone, Copy)]
struct NodeDeserializer<'a>(&'a Node);

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = NodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        let result = match &self.0.content {
            Content::Null => visitor.visit_unit(),
            Content::Scalar(scalar) => scalar.visit(visitor),
            Content::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Content::Map(entries) => visitor.visit_map(Entries { rest: entries, current: None }),
        };
        result.map_err(|error| error.located(&self.0.origin))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        match &self.0.content {
            Content::Scalar(scalar) => {
                visitor.visit_str(&scalar.text).map_err(|error: NodeError| error.located(&self.0.origin))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        visitor.visit_newtype_struct(self).map_err(|error: NodeError| error.located(&self.0.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        let result = match &self.0.content {
            Content::Scalar(scalar) => visitor.visit_enum(scalar.text.as_str().into_deserializer()),
            Content::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant { entry: &entries[0] }),
            _ => return self.deserialize_any(visitor),
        };
        result.map_err(|error: NodeError| error.located(&self.0.origin))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct
    }
}

struct Items<'a> {
    items: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = NodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NodeError> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(NodeDeserializer(item))
            .map(Some)
            .map_err(|error| error.located(&item.origin).under_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Entries<'a> {
    rest: &'a [Entry],
    current: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = NodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NodeError> {
        // A key without a value counts as absent, as in Go.
        while let Some((entry, rest)) = self.rest.split_first() {
            self.rest = rest;
            if entry.value.is_null() {
                continue;
            }
            self.current = Some(entry);
            let key: StrDeserializer<'_, NodeError> = entry.key.as_str().into_deserializer();
            let key = seed.deserialize(key);
            return key.map(Some).map_err(|error| error.located(&entry.key_origin).under_key(&entry.key));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NodeError> {
        let Some(entry) = self.current.take() else {
            return Err(de::Error::custom("a value was read before its key"));
        };
        seed.deserialize(NodeDeserializer(&entry.value))
            .map_err(|error| error.located(&entry.value.origin).under_key(&entry.key))
    }
}

/// `{ name: value }` as an enum's variant.
struct Variant<'a> {
    entry: &'a Entry,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = NodeError;
    type Variant = NodeDeserializer<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, NodeDeserializer<'a>), NodeError> {
        let key: StrDeserializer<'_, NodeError> = self.entry.key.as_str().into_deserializer();
        let variant = seed.deserialize(key).map_err(|error| error.located(&self.entry.key_origin))?;
        Ok((variant, NodeDeserializer(&self.entry.value)))
    }
}

impl<'de> VariantAccess<'de> for NodeDeserializer<'_> {
    type Error = NodeError;

    fn unit_variant(self) -> Result<(), NodeError> {
        if self.0.is_null() {
            return Ok(());
        }
        Err(NodeError::custom_at(&self.0.origin, "this choice takes no parameters"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NodeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, NodeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

#[cfg(test)]
#[path = "de_tests.rs"]
mod tests;
