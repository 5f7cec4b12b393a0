//! `CompiledRule`: whom a rule is for and what it gives, for decisions.

use std::collections::{HashMap, HashSet};

use sampan_config::{AccessRule, AccessRules, RepositoryPattern, Who};
use sampan_engine::oci::RepositoryName;

use super::actions::ActionSet;

/// A client, as rules distinguish them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client<'a> {
    /// One that has what everybody has: without credentials, or a robot.
    Anybody,
    /// A user that logged in.
    User {
        /// The name.
        name: &'a str,
        /// Whether the name is one component of repository names, so that `${user}` can mean it.
        is_component: bool,
    },
}

impl<'a> Client<'a> {
    pub(super) fn user(name: &'a str) -> Self {
        let is_component = !name.contains('/') && name.parse::<RepositoryName>().is_ok();
        Self::User { name, is_component }
    }

    /// The name of a user.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::Anybody => None,
        }
    }

    /// The name for `${user}`.
    pub(super) fn component(self) -> Option<&'a str> {
        match self {
            Self::User { name, is_component: true } => Some(name),
            Self::User { is_component: false, .. } | Self::Anybody => None,
        }
    }
}

/// A rule without its patterns, which are matched for all rules at once.
pub(super) struct CompiledRule {
    is_for_everyone: bool,
    is_for_users: bool,
    users: HashSet<Box<str>>,
    /// Indices of groups.
    groups: Vec<usize>,
    /// The actions that it gives.
    pub(super) actions: ActionSet,
    /// A pattern has `${user}`: the rule gives nothing where that has no meaning.
    needs_user: bool,
    /// It is for all repositories.
    pub(super) has_no_limit: bool,
}

/// The members of the groups, by their indices.
#[derive(Default)]
pub(super) struct Members {
    names: HashMap<Box<str>, usize>,
    members: Vec<HashSet<Box<str>>>,
}

impl Members {
    pub(super) fn new(rules: &AccessRules) -> Self {
        let mut groups = Self::default();
        for (name, group) in rules.groups.iter() {
            groups.names.insert(name.into(), groups.members.len());
            groups.members.push(group.members.iter().map(|member| member.as_str().into()).collect());
        }
        groups
    }

    fn contain(&self, group: usize, user: &str) -> bool {
        self.members[group].contains(user)
    }
}

impl CompiledRule {
    pub(super) fn new(rule: &AccessRule, groups: &Members) -> Self {
        let mut compiled = Self {
            is_for_everyone: false,
            is_for_users: false,
            users: HashSet::new(),
            groups: Vec::new(),
            actions: ActionSet::given_by_all(&rule.may),
            needs_user: rule.on.iter().chain(&rule.except).any(RepositoryPattern::names_user),
            has_no_limit: rule.except.is_empty() && rule.on.iter().any(is_everything),
        };
        for who in rule.who.iter() {
            match who {
                Who::Anonymous | Who::Everyone => compiled.is_for_everyone = true,
                Who::Users => compiled.is_for_users = true,
                Who::User(name) => drop(compiled.users.insert(name.as_str().into())),
                // The configuration has no rule for an unknown group.
                Who::Group(name) => compiled.groups.extend(groups.names.get(name.as_str())),
            }
        }
        compiled
    }

    pub(super) fn is_for_everyone(&self) -> bool {
        self.is_for_everyone
    }

    /// Whether the rule is for a client.
    pub(super) fn is_for(&self, client: Client<'_>, groups: &Members) -> bool {
        if self.needs_user && client.component().is_none() {
            return false;
        }
        match client {
            Client::Anybody => self.is_for_everyone,
            Client::User { name, .. } => {
                self.is_for_everyone
                    || self.is_for_users
                    || self.users.contains(name)
                    || self.groups.iter().any(|group| groups.contain(*group, name))
            }
        }
    }
}

/// Whether a pattern matches every name.
pub(super) fn is_everything(pattern: &RepositoryPattern) -> bool {
    !pattern.names_user() && pattern.globs("").any(|glob| glob == "**")
}
