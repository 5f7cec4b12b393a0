//! `Prefix`: the path below which the API is served.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// `http.prefix`: empty, or one or more `/component`. The API is at `<prefix>/v2/`.
///
/// Parsing accepts any spelling, with or without slashes at either end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix without a trailing slash; may be empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of `path` below the prefix, with its leading slash; `None` outside the prefix.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.as_str()).filter(|rest| rest.starts_with('/'))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let inner = text.trim_matches('/');
        if inner.is_empty() {
            return Ok(Self::default());
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let valid = |component: &str| !matches!(component, "" | "." | "..") && component.bytes().all(allowed);
        if !inner.split('/').all(valid) {
            return Err(InvalidPrefix { prefix: text.to_owned() });
        }
        Ok(Self(Arc::from(format!("/{inner}"))))
    }
}

/// Text that is not a valid [`Prefix`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid prefix {prefix:?}: it must be a path such as `/registry/`, of letters, digits, `-`, `.`, `_`, `~` and slashes"
)]
pub struct InvalidPrefix {
    prefix: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_do_not_matter() {
        for text in ["/a/b", "/a/b/", "a/b", "//a/b//"] {
            assert_eq!(text.parse::<Prefix>().unwrap().as_str(), "/a/b", "{text}");
        }
        for text in ["", "/", "//"] {
            assert_eq!(text.parse::<Prefix>().unwrap(), Prefix::default(), "{text}");
        }
    }

    #[test]
    fn a_prefix_that_a_url_must_encode_is_refused() {
        for text in ["/a b/", "/a//b/", "/../", "/a%2fb/", "/a?b", "/ä/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_whole_components_are_stripped() {
        let prefix: Prefix = "/reg/".parse().unwrap();
        assert_eq!(prefix.strip("/reg/v2/"), Some("/v2/"));
        assert_eq!(prefix.strip("/regal/v2/"), None);
        assert_eq!(prefix.strip("/reg"), None);
        assert_eq!(Prefix::default().strip("/v2/"), Some("/v2/"));
    }
}
