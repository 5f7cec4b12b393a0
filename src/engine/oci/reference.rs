//! `Reference`: a tag or a digest, whichever a client names a manifest by.

use std::fmt;
use std::str::FromStr;

use super::{Digest, InvalidDigest, InvalidTag, Tag};

/// What names a manifest within a repository (OCI distribution-spec, `<reference>`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reference {
    /// Whatever the tag points at now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl Reference {
    /// The tag, if it is one.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        // No tag has a colon, no digest is without one.
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// A text that is neither tag nor digest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidReference {
    /// It has a colon but is no digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// It has no colon and is no tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
}
