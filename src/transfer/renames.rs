//! `Renames`: other names for the repositories of a bundle.

use std::fmt;
use std::str::FromStr;

use sampan_engine::oci::RepositoryName;

use crate::{Error, Result};

/// Rules of the form `FROM=TO`; the first that fits counts. A rule fits the repository `FROM` and those below it; an empty `FROM`
/// fits all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Renames(Vec<Rename>);

/// One rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rename {
    from: String,
    to: String,
}

/// An error: the text is no rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid rule {0:?}: it must be FROM=TO, such as team=mirror/team, or =mirror for all repositories")]
pub struct InvalidRename(String);

impl Renames {
    /// These rules, in order.
    pub fn new(rules: Vec<Rename>) -> Self {
        Self(rules)
    }

    /// The rules that fit none of these repositories.
    pub fn unused<'a>(&self, names: impl Iterator<Item = &'a RepositoryName> + Clone) -> Vec<&Rename> {
        let fits = |rule: &Rename| names.clone().any(|name| rule.apply(name.as_str()).is_some());
        self.0.iter().filter(|rule| !fits(rule)).collect()
    }

    /// The number of rules.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The name of a repository after the rules.
    ///
    /// # Errors
    ///
    /// When the new name is outside the grammar.
    pub fn apply(&self, name: &RepositoryName) -> Result<RepositoryName> {
        let Some(new) = self.0.iter().find_map(|rule| rule.apply(name.as_str())) else {
            return Ok(name.clone());
        };
        new.parse().map_err(|error| Error::Image { image: name.to_string(), problem: format!("{error}") })
    }
}

impl Rename {
    fn apply(&self, name: &str) -> Option<String> {
        if self.from.is_empty() {
            return Some(format!("{}/{name}", self.to));
        }
        match name.strip_prefix(&self.from)? {
            "" => Some(self.to.clone()),
            rest if rest.starts_with('/') => Some(format!("{}{rest}", self.to)),
            _ => None,
        }
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

impl FromStr for Rename {
    type Err = InvalidRename;

    fn from_str(text: &str) -> Result<Self, InvalidRename> {
        let invalid = || InvalidRename(text.to_owned());
        let (from, to) = text.split_once('=').ok_or_else(invalid)?;
        let is_name = |text: &str| text.parse::<RepositoryName>().is_ok();
        match is_name(to) && (from.is_empty() || is_name(from)) {
            true => Ok(Self { from: from.to_owned(), to: to.to_owned() }),
            false => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_renames() {
        let rules = ["team/app=app", "team=mirror/team"].map(|rule| rule.parse().unwrap());
        let renames = Renames::new(rules.into());
        for (name, expected) in [
            ("team/app", "app"),
            ("team/app/sub", "app/sub"),
            ("team/other", "mirror/team/other"),
            ("teams", "teams"),
            ("b", "b"),
        ] {
            assert_eq!(renames.apply(&name.parse().unwrap()).unwrap().as_str(), expected);
        }
        let all = Renames::new(vec!["=mirror".parse().unwrap()]);
        assert_eq!(all.apply(&"a/b".parse().unwrap()).unwrap().as_str(), "mirror/a/b");
        for bad in ["", "a", "a=", "A=b", "a=b:c"] {
            assert!(bad.parse::<Rename>().is_err(), "{bad}");
        }
    }
}
