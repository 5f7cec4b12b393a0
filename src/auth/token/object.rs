//! `Object`: a struct that is read from a JSON object only.
//!
//! serde also reads a list as the fields of a struct in their order; no other program reads a token like that (RFC 7515, 4 and
//! RFC 7519, 4 ask for objects).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

/// The longest error, in characters: its begin has what was found, its end what was expected, and where.
const MAX_ERROR: usize = 200;

/// Parses an object. All of it must be UTF-8 (RFC 8259, 8.1): serde does not look into texts that it skips.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    let json = std::str::from_utf8(json).map_err(|error| error.to_string())?;
    let Object(value) = serde_json::from_str(json).map_err(|error| abridged(&error.to_string()))?;
    Ok(value)
}

/// An error for the log, without the middle of a long text that it quotes.
fn abridged(error: &str) -> String {
    let chars = error.chars().count();
    if chars <= MAX_ERROR {
        return error.to_owned();
    }
    let begin = error.chars().take(MAX_ERROR / 2);
    let end = error.chars().skip(chars - MAX_ERROR / 2);
    begin.chain(['…']).chain(end).collect()
}

/// A value from an object.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Pair {
        first: u8,
        second: u8,
    }

    #[test]
    fn only_an_object_in_utf_8_is_read() {
        let pair: Pair = parse(br#"{"second":2,"first":1}"#).unwrap();
        assert_eq!((pair.first, pair.second), (1, 2));
        for text in ["[1,2]", "null", "1", r#"{"first":1}"#, r#"{"first":1,"second":2,"first":1}"#] {
            assert!(parse::<Pair>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse::<Pair>(b"{\"first\":1,\"second\":2,\"x\":\"\xff\"}").is_err());
    }
}
