//! `UploadId`: identifies an upload session.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// The name of an upload session: a random UUID from this registry, or any name of Distribution's router, `[a-zA-Z0-9-_.=]+`
/// without `=` (which no path may have).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UploadId(Arc<str>);

impl UploadId {
    /// Creates a new id that no client can guess.
    pub fn random() -> Self {
        Self(Arc::from(Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()) as &str))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > 128 || text == "." || text == ".." || !text.bytes().all(allowed) {
            return Err(InvalidUploadId);
        }
        Ok(Self(Arc::from(text)))
    }
}

/// An error: the text is not the id of an upload session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid upload id")]
pub struct InvalidUploadId;
