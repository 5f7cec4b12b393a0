//! `RunId`: identifies one run of a collector.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The unique name of one run of a collector.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId(Uuid);

impl RunId {
    /// Creates a new id.
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
        // A UUID has several spellings, but a file has one name.
        if id.to_string() == text { Ok(id) } else { Err(InvalidRunId) }
    }
}

/// An error: the text is not the id of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid id of a collection")]
pub struct InvalidRunId;
