//! `RunId`: which run of a collector.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The name of one run of a collector, which no other run ever has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId(Uuid);

impl RunId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| InvalidRunId)?;
        // There are other ways to write a UUID, but one file has one name.
        if id.to_string() == text { Ok(id) } else { Err(InvalidRunId) }
    }
}

/// A text that cannot name a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid id of a collection")]
pub struct InvalidRunId;
