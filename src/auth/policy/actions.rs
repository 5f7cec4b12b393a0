//! `ActionSet`: some of pull, push and delete.

use std::fmt;
use std::ops::BitOr;

use sampan_config::Permission;

use super::super::{Access, Action, Resource};

/// Some of pull, push and delete.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ActionSet(u8);

const PULL: u8 = 1;
const PUSH: u8 = 2;
const DELETE: u8 = 4;

impl ActionSet {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(PULL | PUSH | DELETE);

    /// The actions that a permission gives. `push` and `delete` include `pull`: no client pushes or deletes without reading.
    pub fn given_by(permission: Permission) -> Self {
        match permission {
            Permission::Pull => Self(PULL),
            Permission::Push => Self(PULL | PUSH),
            Permission::Delete => Self(PULL | DELETE),
            Permission::All => Self::ALL,
        }
    }

    /// The actions that several permissions give.
    pub fn given_by_all(permissions: &[Permission]) -> Self {
        permissions.iter().fold(Self::NONE, |set, permission| set | Self::given_by(*permission))
    }

    /// The actions that an access to a repository needs.
    pub(super) fn needed_by(action: Action) -> Self {
        match action {
            Action::Pull => Self(PULL),
            Action::Push => Self(PUSH),
            Action::Delete => Self(DELETE),
            Action::All => Self::ALL,
        }
    }

    /// Whether all of `others` are in the set.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether none is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The actions that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The actions, pull first.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let bits = [(PULL, Action::Pull), (PUSH, Action::Push), (DELETE, Action::Delete)];
        bits.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, action)| action)
    }
}

impl BitOr for ActionSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Formats as a list for people: `pull and push`.
impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<&str> = self.iter().map(Action::as_str).collect();
        match actions.as_slice() {
            [] => f.write_str("nothing"),
            [only] => f.write_str(only),
            [first @ .., last] => write!(f, "{} and {last}", first.join(", ")),
        }
    }
}

/// The sentence of an access, after `may` or `may not`: `push to team/app`.
pub(super) fn phrase(access: &Access) -> String {
    match (&access.resource, access.action) {
        (Resource::Catalog, _) => "list the catalog".to_owned(),
        (Resource::Repository(name), Action::Pull) => format!("pull {name}"),
        (Resource::Repository(name), Action::Push) => format!("push to {name}"),
        (Resource::Repository(name), Action::Delete) => format!("delete {name}"),
        (Resource::Repository(name), Action::All) => format!("pull, push and delete {name}"),
    }
}
