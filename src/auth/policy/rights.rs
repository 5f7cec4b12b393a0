//! `Rights`: what a token's own record allows.

use std::fmt;
use std::sync::Arc;

use globset::{Candidate, GlobSet};
use sampan_config::{Permission, RepositoryPattern};
use sampan_engine::oci::RepositoryName;

use super::actions::ActionSet;
use super::glob::compile_all;

/// What the record of a token allows: `may` on the repositories that match `on` and not `except`. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Compiled>);

struct Compiled {
    may: Vec<Permission>,
    on: Vec<RepositoryPattern>,
    except: Vec<RepositoryPattern>,
    actions: ActionSet,
    on_globs: GlobSet,
    except_globs: GlobSet,
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
    /// The patterns are too large.
    #[error(transparent)]
    TooLarge(#[from] super::PolicyTooLarge),
}

impl Rights {
    /// The rights of a record.
    ///
    /// # Errors
    ///
    /// `may` or `on` is empty, a pattern has `${user}`, or the patterns are too large together.
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
        let globs = |patterns: &[RepositoryPattern]| {
            compile_all(patterns.iter().flat_map(|pattern| pattern.globs("").collect::<Vec<_>>()))
        };
        let (actions, on_globs, except_globs) = (ActionSet::given_by_all(&may), globs(&on)?, globs(&except)?);
        Ok(Self(Arc::new(Compiled { may, on, except, actions, on_globs, except_globs })))
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
        let name = Candidate::new(name.as_str());
        let given =
            self.0.on_globs.is_match_candidate(&name) && !self.0.except_globs.is_match_candidate(&name);
        if given { self.0.actions } else { ActionSet::NONE }
    }

    /// Whether the rights give pull on every repository.
    pub(super) fn see_everything(&self) -> bool {
        self.0.except.is_empty() && self.0.on.iter().any(|pattern| pattern.globs("").any(|glob| glob == "**"))
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
