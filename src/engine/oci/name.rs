//! `RepositoryName`: identifies a repository.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::digest::shorten;

/// The name of a repository such as `library/alpine` (OCI distribution-spec, "Pulling manifests": `<name>`).
///
/// Components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`, at most 255 characters in all.
/// It deliberately does not implement `Deserialize`: a handler gets one only through authorization.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// The longest name, in characters (Distribution's `RepositoryNameTotalLengthMax`).
    pub const MAX_LEN: usize = 255;

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |problem| InvalidName { name: shorten(text), problem };
        if text.len() > Self::MAX_LEN {
            return Err(invalid("it is longer than 255 characters"));
        }
        for component in text.split('/') {
            check_component(component).map_err(invalid)?;
        }
        Ok(Self(Arc::from(text)))
    }
}

fn check_component(component: &str) -> Result<(), &'static str> {
    if component.is_empty() {
        return Err("it has an empty component");
    }
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| alphanumeric(byte)).count();
        if word == 0 {
            return Err(if rest.iter().any(u8::is_ascii_uppercase) {
                "it must be in lower case"
            } else {
                "a component must be letters and digits, separated by `.`, `_`, `__` or dashes"
            });
        }
        rest = &rest[word..];
        let separator = rest.iter().take_while(|byte| !alphanumeric(byte)).count();
        match &rest[..separator] {
            b"" => return Ok(()), // `separator` is only empty at the end.
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|byte| *byte == b'-') => {}
            other if other.iter().any(u8::is_ascii_uppercase) => return Err("it must be in lower case"),
            _ => return Err("a component must be letters and digits, separated by `.`, `_`, `__` or dashes"),
        }
        rest = &rest[separator..];
    }
}

/// An error: the text is not a repository name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid repository name {name:?}: {problem}")]
pub struct InvalidName {
    name: String,
    problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_grammar_parse() {
        let longest = format!("{}/a", "a".repeat(253));
        for name in
            ["a", "0", "library/alpine", "a/b/c/d/e", "a.b_c__d-e---f", "blobs/uploads/tags/list", &longest]
        {
            assert_eq!(name.parse::<RepositoryName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        let too_long = "a".repeat(256);
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "aB",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            ".a",
            "_a",
            "a/../b",
            "a b",
            "ä",
            "a\0",
            "a%2fb",
            "localhost:5000/a",
            &too_long,
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
        }
    }
}
