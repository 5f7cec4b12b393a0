//! `RepositoryPath`: the first components of names of repositories.

use std::fmt;
use std::str::FromStr;

use super::value_from_text;

/// One or more components of a repository's name, such as `docker.io` or `mirrors/hub`: a name by itself, that leaves room for
/// another component below it.
///
/// The grammar is that of names in the OCI distribution-spec, `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RepositoryPath(String);

impl RepositoryPath {
    /// The longest path, in bytes: a name has 255 at most.
    pub const MAX_LEN: usize = 253;

    /// The path, without slashes around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components of `other` below this path; empty if both are the same.
    pub fn rest<'a>(&self, other: &'a Self) -> Option<&'a str> {
        match other.0.strip_prefix(&self.0)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > Self::MAX_LEN {
            return Err(format!(
                "has {} characters, which leaves no room for names below it: a repository name has 255 at most",
                text.len()
            ));
        }
        match name_problem(text) {
            Some(problem) => {
                Err(format!("`{}` cannot begin a repository name: {problem}", text.escape_debug()))
            }
            None => Ok(Self(text.to_owned())),
        }
    }
}

value_from_text!(RepositoryPath);

/// The longest name of a repository, in bytes.
pub(crate) const MAX_REPOSITORY_NAME: usize = 255;

/// The problem of a repository's name, other than its length.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    name.split('/').find_map(problem)
}

/// The problem of a component.
fn problem(component: &str) -> Option<&'static str> {
    if component.is_empty() {
        return Some("write it without slashes at its ends, and one slash between components");
    }
    if component.contains(|c: char| c.is_ascii_uppercase()) {
        return Some("names are in lower case");
    }
    if component.contains(':') {
        return Some("a name has no port in it");
    }
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let separated = component.split(is_word).filter(|separator| !separator.is_empty()).all(is_separator);
    (!component.starts_with(is_word) || !component.ends_with(is_word) || !separated)
        .then_some("components are letters and digits, separated by `.`, `_`, `__` or dashes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_names_are_accepted() {
        let longest = "a".repeat(253);
        for text in
            ["docker.io", "mirrors/hub", "xn--bcher-kva.example", "a.b_c__d-e---f", "10.0.0.1", "0", &longest]
        {
            assert_eq!(text.parse::<RepositoryPath>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let too_long = "a".repeat(254);
        for (text, expected) in [
            ("/docker.io", "without slashes at its ends"),
            ("docker.io/", "without slashes at its ends"),
            ("a//b", "one slash between components"),
            ("Docker.io", "names are in lower case"),
            ("registry.example:5000", "a name has no port in it"),
            ("a..b", "components are letters and digits"),
            ("a___b", "components are letters and digits"),
            ("a._b", "components are letters and digits"),
            ("-a", "components are letters and digits"),
            ("a-", "components are letters and digits"),
            ("a/../b", "components are letters and digits"),
            ("ü", "`ü` cannot begin a repository name: components are"),
            ("a\0", "`a\\0` cannot begin"),
            ("team/*", "components are letters and digits"),
            (&too_long, "has 254 characters, which leaves no room for names below it"),
        ] {
            let problem = text.parse::<RepositoryPath>().expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn what_is_below_a_path_is_told_by_whole_components() {
        for (one, other, expected) in [
            ("a", "a", Some("")),
            ("a", "a/b", Some("b")),
            ("a/b", "a/b/c/d", Some("c/d")),
            ("a", "a/a", Some("a")),
            ("a", "ab", None),
            ("a/b", "a", None),
            ("a", "b/a", None),
        ] {
            let (one, other): (RepositoryPath, RepositoryPath) =
                (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.rest(&other), expected, "{one} {other}");
        }
    }
}
