//! `Version`: the version of the configuration's format.

use std::str::FromStr;

use super::values::value_from_text;

/// The version of the format; there is only one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// `0.1`.
    V0_1,
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0.1" => Ok(Self::V0_1),
            other => Err(format!("unsupported version `{other}`; write `version: 0.1`")),
        }
    }
}

value_from_text!(Version);
