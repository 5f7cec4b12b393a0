//! `Reference`: the tag or digest by which a client names a manifest.

use std::fmt;
use std::str::FromStr;

use super::{Digest, InvalidDigest, InvalidTag, Tag};

/// A reference to a manifest of a repository (OCI distribution-spec, `<reference>`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reference {
    /// The present target of the tag.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl Reference {
    /// The tag, if the reference is a tag.
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
        // A tag never has a colon, a digest always does.
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

/// An error: the text is neither tag nor digest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidReference {
    /// The text has a colon but is not a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// The text has no colon and is not a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
}
