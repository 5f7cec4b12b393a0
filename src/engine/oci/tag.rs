//! `Tag`: a movable name for a manifest.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::digest::shorten;

/// A tag such as `latest`: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution-spec, "Pulling manifests": `<reference>`).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The text of the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        let valid = text.len() <= 128
            && bytes.next().is_some_and(word)
            && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
        if !valid {
            return Err(InvalidTag { tag: shorten(text) });
        }
        Ok(Self(Arc::from(text)))
    }
}

/// An error: the text is not a tag.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid tag {tag:?}: at most 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`")]
pub struct InvalidTag {
    tag: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept() {
        let longest = "a".repeat(128);
        for tag in ["latest", "1.2.3-rc.1", "_", "V1", &longest] {
            assert_eq!(tag.parse::<Tag>().unwrap().as_str(), tag);
        }
        let too_long = "a".repeat(129);
        for tag in ["", ".a", "-a", "a/b", "a b", "a:b", "ä", "..", &too_long] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
    }
}
