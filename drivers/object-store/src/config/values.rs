//! Values as users and environment variables write them: `true` or `"true"`, `10485760`, `"10485760"` or `"10MiB"`.

use std::fmt;
use std::time::Duration;

use sampan_driver::parse_size;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A variable of the environment, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A text that is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A scalar of any type.
#[derive(Clone, Debug)]
enum Scalar {
    Bool(bool),
    Number(u64),
    Text(String),
    Null,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, or true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                u64::try_from(value)
                    .map(Scalar::Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_none<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// `None` for a missing value and for an empty text, as in Distribution.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Null => None,
        Scalar::Bool(value) => Some(value.to_string()),
        Scalar::Number(value) => Some(value.to_string()),
        Scalar::Text(value) => Some(value).filter(|value| !value.is_empty()),
    })
}

pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(text(deserializer)?.map(Secret))
}

pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Null => Ok(None),
        Scalar::Bool(value) => Ok(Some(value)),
        Scalar::Text(value) if value.is_empty() => Ok(None),
        Scalar::Text(value) => match value.to_ascii_lowercase().as_str() {
            // The short forms are Go's.
            "true" | "t" | "1" => Ok(Some(true)),
            "false" | "f" | "0" => Ok(Some(false)),
            _ => Err(de::Error::invalid_value(de::Unexpected::Str(&value), &"true or false")),
        },
        Scalar::Number(value) => {
            Err(de::Error::invalid_value(de::Unexpected::Unsigned(value), &"true or false"))
        }
    }
}

/// A number, also of bytes with a unit.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    const EXPECTED: &str = "a number such as 10485760, or a text such as \"10MiB\"";
    match Scalar::deserialize(deserializer)? {
        Scalar::Null => Ok(None),
        Scalar::Number(value) => Ok(Some(value)),
        Scalar::Text(value) if value.is_empty() => Ok(None),
        Scalar::Text(value) => match parse_size(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(de::Error::invalid_value(de::Unexpected::Str(&value), &EXPECTED)),
        },
        Scalar::Bool(value) => Err(de::Error::invalid_value(de::Unexpected::Bool(value), &EXPECTED)),
    }
}

/// A duration in Go's syntax: `100ms`, `20m`, `1h30m`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(value) = text(deserializer)? else { return Ok(None) };
    match parse_duration(&value) {
        Some(duration) => Ok(Some(duration)),
        None => Err(de::Error::invalid_value(
            de::Unexpected::Str(&value),
            &"a duration such as \"100ms\", \"20m\" or \"1h30m\"",
        )),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim(), Duration::ZERO);
    if rest == "0" {
        return Some(total);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = behind;
    }
    (!text.trim().is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in
            [("100ms", 100), ("1.5s", 1500), ("20m", 1_200_000), ("1h30m", 5_400_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1d", "-1s", "1s2"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secret("hush".into())), "***");
    }
}
