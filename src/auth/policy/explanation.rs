//! `Explanation`: why an access is allowed or not, for operators.

use std::fmt;

use serde::Serialize;

use super::super::Access;
use super::actions::{ActionSet, phrase};

/// Why an access is allowed or not. Displays as several lines of text, and serializes for `--format json`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Explanation {
    /// The name of the client, or `anonymous`.
    pub who: String,
    /// The access, as the scope of a token names it.
    pub scope: String,
    /// Whether it is allowed.
    pub allowed: bool,
    /// The reasons that allow it; empty if it is denied.
    pub because: Vec<Reason>,
    /// The nearest rule; empty if it is allowed.
    pub nearest: Vec<NearMiss>,
    /// How many rules there are.
    pub rules: usize,
    /// The status with which the registry refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip)]
    phrase: String,
}

/// A reason that allows an access, or part of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Reason {
    /// A rule.
    Rule {
        /// The place of the rule, such as `access.yml:12`.
        place: String,
        /// The rule, as it would be written.
        rule: String,
        /// The user for whom a robot acts, if it is a rule for that user.
        #[serde(skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<String>,
        /// The group that makes the rule one for the user.
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<Membership>,
    },
    /// The rights of a robot.
    Robot {
        /// The rights.
        rights: String,
    },
    /// The client is known: the catalog lists only what it may pull.
    Known,
}

/// A user in a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Membership {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
    /// The place of the group, such as `access.yml:3`.
    pub place: String,
}

/// The rule that comes nearest to allowing a denied access.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NearMiss {
    /// A rule would allow it, but for an exception.
    Excepted {
        /// The place of the rule.
        place: String,
        /// The pattern of the exception.
        pattern: String,
    },
    /// A rule for the client and repository gives other actions.
    Gives {
        /// The place of the rule.
        place: String,
        /// The actions.
        actions: String,
    },
    /// A rule gives it to others.
    Others {
        /// The place of the rule.
        place: String,
        /// Whom the rule is for.
        who: String,
    },
    /// A rule needs the user's name, which is no component of a repository name.
    Name {
        /// The place of the rule.
        place: String,
    },
    /// The rights of the robot give less.
    Robot {
        /// The rights.
        rights: String,
    },
    /// The user for whom the robot acts may not.
    User {
        /// The user.
        user: String,
    },
}

impl Explanation {
    pub(super) fn new(who: &str, access: &Access, rules: usize) -> Self {
        Self {
            who: who.to_owned(),
            scope: access.to_string(),
            allowed: false,
            because: Vec::new(),
            nearest: Vec::new(),
            rules,
            status: None,
            phrase: phrase(access),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, phrase) = (&self.who, &self.phrase);
        if self.allowed {
            write!(f, "{who} may {phrase}")?;
            for reason in &self.because {
                write!(f, "\n  {reason}")?;
            }
            return Ok(());
        }
        write!(f, "{who} may not {phrase}")?;
        match self.status {
            Some(403) => f.write_str(" → 403 DENIED")?,
            Some(status) => write!(f, " → {status}")?,
            None => {}
        }
        match self.rules {
            0 => f.write_str("\n  there is no rule")?,
            1 => f.write_str("\n  1 rule, and it does not give it")?,
            rules => write!(f, "\n  {rules} rules, none gives it")?,
        }
        for (index, near) in self.nearest.iter().enumerate() {
            f.write_str(if index == 0 { "; nearest: " } else { ", " })?;
            near.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { place, rule, on_behalf_of, member } => {
                match on_behalf_of {
                    None => write!(f, "because {place}  {rule}")?,
                    Some(user) => write!(f, "and {user}, for whom it acts, may, because {place}  {rule}")?,
                }
                match member {
                    None => Ok(()),
                    Some(Membership { user, group, place }) => {
                        write!(f, "\n  {user} is in group {group} ({place})")
                    }
                }
            }
            Self::Robot { rights } => write!(f, "because the token {rights}"),
            Self::Known => f.write_str("because its login proves a name; the list has what that may pull"),
        }
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excepted { place, pattern } => write!(f, "{place} leaves it out, except {pattern}"),
            Self::Gives { place, actions } => write!(f, "{place} gives {actions}"),
            Self::Others { place, who } => write!(f, "{place} gives it to {who}"),
            Self::Name { place } => {
                write!(f, "{place} has `${{user}}`, and this user's name cannot be in a repository's")
            }
            Self::Robot { rights } => write!(f, "the token {rights}"),
            Self::User { user } => write!(f, "the token gives it, but {user}, for whom it acts, may not"),
        }
    }
}

impl NearMiss {
    /// The actions that are given in place of those that are wanted.
    pub(super) fn gives(place: String, actions: ActionSet) -> Self {
        Self::Gives { place, actions: actions.to_string() }
    }
}
