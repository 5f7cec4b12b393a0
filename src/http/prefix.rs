//! `Prefix`: the path that the whole API lives below.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// `http.prefix`: empty, or `/component` once or several times. The API is then at `<prefix>/v2/`.
///
/// Parsed from any spelling with or without slashes at either end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix without a slash at its end; empty when there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of `path` below this prefix, beginning with its slash; `None` when it lies elsewhere.
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

/// A text that cannot be a [`Prefix`].
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
    fn what_a_url_cannot_carry_plainly_is_refused() {
        for text in ["/a b/", "/a//b/", "/../", "/a%2fb/", "/a?b", "/ä/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn stripping_keeps_to_components() {
        let prefix: Prefix = "/reg/".parse().unwrap();
        assert_eq!(prefix.strip("/reg/v2/"), Some("/v2/"));
        assert_eq!(prefix.strip("/regal/v2/"), None);
        assert_eq!(prefix.strip("/reg"), None);
        assert_eq!(Prefix::default().strip("/v2/"), Some("/v2/"));
    }
}
