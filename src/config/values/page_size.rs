//! `PageSize`: the most entries in one answer.

use serde::{Deserialize, Deserializer};

use crate::section::leaf;

/// The most entries in one answer; at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageSize(pub usize);

const DEFAULT: usize = 1000;

/// Zero and negative numbers mean the default, as in Distribution.
impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Ok(Self(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(DEFAULT)))
    }
}

leaf!(PageSize);
