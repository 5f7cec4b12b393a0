//! `JobName`: the name of a job that copies from another registry.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a job, which is the name of a directory too: lower case letters, digits, `.`, `_` and `-`, at most 64, the first a
/// letter or digit. Cloning is cheap.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobName(Arc<str>);

/// The longest name, in characters.
const MAX_LEN: usize = 64;

impl JobName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobName {
    type Err = InvalidJobName;

    fn from_str(text: &str) -> Result<Self, InvalidJobName> {
        let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let may_begin = text.bytes().next().is_some_and(is_alphanumeric);
        let may_have = |byte: u8| is_alphanumeric(byte) || b"._-".contains(&byte);
        match may_begin && text.len() <= MAX_LEN && text.bytes().all(may_have) {
            true => Ok(Self(text.into())),
            false => Err(InvalidJobName),
        }
    }
}

/// An error: the text is not the name of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the name of a job has 1 to 64 lower case letters, digits, `.`, `_` and `-`, and begins with a letter or digit"
)]
pub struct InvalidJobName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_no_path() {
        for text in ["", ".", "..", "-a", "a/b", "A", "a b", "a\u{0}", &"a".repeat(65)] {
            assert_eq!(text.parse::<JobName>(), Err(InvalidJobName), "{text}");
        }
        for text in ["a", "7", "base-images", "a.b_c-d", &"a".repeat(64)] {
            assert_eq!(text.parse::<JobName>().unwrap().as_str(), text);
        }
    }
}
