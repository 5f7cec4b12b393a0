//! `Rights`: what a token's own record allows.

use std::fmt;
use std::sync::Arc;

use sampan_config::{Permission, RepositoryPattern};
use sampan_engine::oci::RepositoryName;

use super::actions::ActionSet;
use super::name_pattern::NamePattern;

/// The rights in the record of a token: `may` on the repositories that match `on` and not `except`. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Parsed>);

struct Parsed {
    may: Vec<Permission>,
    on: Vec<RepositoryPattern>,
    except: Vec<RepositoryPattern>,
    actions: ActionSet,
    on_names: Vec<NamePattern>,
    except_names: Vec<NamePattern>,
}

/// An error: the rights of a token are not valid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRights {
    /// There is no permission, or no pattern of repositories.
    #[error("a token needs at least one permission and one pattern of repositories")]
    Empty,
    /// A pattern names the user.
    #[error("`{0}`: a token has no `${{user}}`; write the name")]
    NamesUser(RepositoryPattern),
    /// There are too many patterns, each alternative in braces counted.
    #[error(
        "the patterns together have {0} alternatives, more than the limit of {MAX_ALTERNATIVES}: use fewer"
    )]
    TooMany(usize),
}

/// The most patterns of a token, each alternative in braces counted: a request of the token is compared with all of them.
const MAX_ALTERNATIVES: usize = 1024;

impl Rights {
    /// The rights of a record.
    ///
    /// # Errors
    ///
    /// `may` or `on` is empty, a pattern has `${user}`, or there are too many alternatives.
    pub fn new(
        may: Vec<Permission>,
        on: Vec<RepositoryPattern>,
        except: Vec<RepositoryPattern>,
    ) -> Result<Self, InvalidRights> {
        if may.is_empty() || on.is_empty() {
            return Err(InvalidRights::Empty);
        }
        if let Some(pattern) = on.iter().chain(&except).find(|pattern| pattern.names_user()) {
            return Err(InvalidRights::NamesUser(pattern.clone()));
        }
        let alternatives = on.iter().chain(&except).map(RepositoryPattern::alternatives).sum();
        if alternatives > MAX_ALTERNATIVES {
            return Err(InvalidRights::TooMany(alternatives));
        }
        let names =
            |patterns: &[RepositoryPattern]| patterns.iter().flat_map(NamePattern::alternatives).collect();
        let (actions, on_names, except_names) = (ActionSet::given_by_all(&may), names(&on), names(&except));
        Ok(Self(Arc::new(Parsed { may, on, except, actions, on_names, except_names })))
    }

    /// The permissions.
    pub fn may(&self) -> &[Permission] {
        &self.0.may
    }

    /// The patterns of repositories.
    pub fn on(&self) -> &[RepositoryPattern] {
        &self.0.on
    }

    /// The patterns of repositories that are left out.
    pub fn except(&self) -> &[RepositoryPattern] {
        &self.0.except
    }

    /// The actions that the rights give on a repository.
    pub fn actions(&self, name: &RepositoryName) -> ActionSet {
        let any =
            |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.is_match(name.as_str(), ""));
        if any(&self.0.on_names) && !any(&self.0.except_names) { self.0.actions } else { ActionSet::NONE }
    }

    /// The approximate size in memory, in bytes.
    pub fn size_bytes(&self) -> usize {
        let Parsed { on, except, on_names, except_names, .. } = &*self.0;
        let texts: usize = on.iter().chain(except).map(RepositoryPattern::size_bytes).sum();
        let names: usize = on_names.iter().chain(except_names).map(NamePattern::size_bytes).sum();
        size_of::<Parsed>() + texts + names
    }

    /// Whether the rights give these actions on every repository.
    pub(super) fn allow_everywhere(&self, actions: ActionSet) -> bool {
        let given = ActionSet::given_by_all(self.may()).contains(actions);
        given
            && self.0.except.is_empty()
            && self.0.on.iter().any(|pattern| pattern.globs("").any(|glob| glob == "**"))
    }
}

/// Rights are equal if their texts are.
impl PartialEq for Rights {
    fn eq(&self, other: &Self) -> bool {
        (self.may(), self.on(), self.except()) == (other.may(), other.on(), other.except())
    }
}

impl Eq for Rights {}

/// Formats as a rule without `who`: `may push, on team/**`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |patterns: &[RepositoryPattern]| {
            patterns.iter().map(RepositoryPattern::as_str).collect::<Vec<_>>().join(", ")
        };
        let may: Vec<&str> = self.may().iter().map(|permission| permission.as_str()).collect();
        write!(f, "may {}, on {}", may.join(", "), list(self.on()))?;
        match self.except() {
            [] => Ok(()),
            except => write!(f, ", except {}", list(except)),
        }
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(patterns: impl IntoIterator<Item = String>) -> Result<Rights, InvalidRights> {
        let on = patterns.into_iter().map(|pattern| pattern.parse().unwrap()).collect();
        Rights::new(vec![Permission::Pull], on, Vec::new())
    }

    #[test]
    fn alternatives_are_bounded_and_their_bytes_counted() {
        // 64 of them in 31 bytes.
        let braces = |number: usize| format!("t{number:02}{}", "{a,b}".repeat(6));
        let most = rights((0..16).map(braces)).unwrap();
        assert!(most.actions(&"t15bbbbbb".parse().unwrap()).contains(most.0.actions));
        let (texts, globs) = (16 * 33, 2 * 1024 * 9);
        assert!(most.size_bytes() > texts + globs, "{} bytes", most.size_bytes());
        let more = rights((0..16).map(braces).chain(["x".to_owned()]));
        assert!(matches!(more, Err(InvalidRights::TooMany(1025))), "{more:?}");
    }
}
