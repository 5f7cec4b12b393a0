//! `Policy`: decides by rules.

use std::fmt;
use std::ops::BitOr;
use std::sync::Arc;

use sampan_config::{AccessRules, RepositoryPattern};
use sampan_engine::oci::RepositoryName;

use super::super::{Access, Action, Identity, Resource};
use super::PolicyTooLarge;
use super::actions::ActionSet;
use super::decisions::Decisions;
use super::pattern_set::PatternSet;
use super::rule::{Client, CompiledRule, Members};

/// Decides by rules. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Compiled>);

/// The rules, as they are and compiled.
struct Compiled {
    source: AccessRules,
    groups: Members,
    rules: Vec<CompiledRule>,
    on: PatternSet,
    except: PatternSet,
    decisions: Decisions,
}

impl Policy {
    /// Compiles rules.
    ///
    /// # Errors
    ///
    /// The patterns are too large together.
    pub fn new(source: AccessRules) -> Result<Self, PolicyTooLarge> {
        let groups = Members::new(&source);
        let rules: Vec<_> = source.rules.iter().map(|rule| CompiledRule::new(rule, &groups)).collect();
        let numbered = || (0_u32..).zip(&source.rules);
        let on = numbered().flat_map(|(index, rule)| rule.on.iter().map(move |pattern| (index, pattern)));
        let except =
            numbered().flat_map(|(index, rule)| rule.except.iter().map(move |pattern| (index, pattern)));
        let (on, except) = (PatternSet::new(on)?, PatternSet::new(except)?);
        let decisions = Decisions::default();
        Ok(Self(Arc::new(Compiled { source, groups, rules, on, except, decisions })))
    }

    /// Whether the rules, or the rights of a robot, allow an access.
    pub fn allows(&self, identity: &Identity, access: &Access) -> bool {
        match &access.resource {
            Resource::Catalog => identity.is_known() || self.has_rules_for_anonymous(),
            Resource::Repository(name) => {
                self.granted(identity, name).contains(ActionSet::needed_by(access.action))
            }
        }
    }

    /// The actions on a repository that the identity may do: some of pull, push and delete.
    pub fn actions(&self, identity: &Identity, name: &RepositoryName) -> Vec<Action> {
        self.granted(identity, name).iter().collect()
    }

    /// Whether a rule is for every client.
    pub fn has_rules_for_anonymous(&self) -> bool {
        self.0.rules.iter().any(CompiledRule::is_for_everyone)
    }

    /// Whether the identity may pull every repository, by a rule for `**` without `except`. `false` if only several rules
    /// together, or other patterns, give as much.
    pub fn sees_everything(&self, identity: &Identity) -> bool {
        self.allows_everywhere(identity, Action::Pull)
    }

    /// Whether the identity may do this in every repository, with the same reservation.
    pub fn allows_everywhere(&self, identity: &Identity, action: Action) -> bool {
        let needed = ActionSet::needed_by(action);
        let may = |client| {
            let rules =
                self.0.rules.iter().filter(|rule| rule.has_no_limit && rule.is_for(client, &self.0.groups));
            rules.map(|rule| rule.actions).fold(ActionSet::NONE, BitOr::bitor).contains(needed)
        };
        match identity {
            Identity::Anonymous => may(Client::Anybody),
            Identity::User(name) => may(Client::user(name)),
            Identity::Robot(robot) => {
                may(Client::Anybody)
                    || robot.rights.allow_everywhere(needed)
                        && robot.on_behalf_of.as_deref().is_none_or(|user| may(Client::user(user)))
            }
        }
    }

    /// Whether clients without a login may pull everything below a folder of repositories, by a rule for all of it without
    /// `except`.
    pub fn anonymous_may_pull_below(&self, folder: &RepositoryName) -> bool {
        let covers = |pattern: &RepositoryPattern| {
            let is_above = |glob: String| match glob.strip_suffix("**") {
                Some("") => true,
                Some(above) => format!("{folder}/").starts_with(above) && above.ends_with('/'),
                None => false,
            };
            !pattern.names_user() && pattern.globs("").any(|glob| is_above(glob.to_string()))
        };
        self.0.rules.iter().zip(&self.0.source.rules).any(|(compiled, rule)| {
            compiled.is_for(Client::Anybody, &self.0.groups)
                && compiled.actions.contains(ActionSet::needed_by(Action::Pull))
                && rule.except.is_empty()
                && rule.on.iter().any(covers)
        })
    }

    /// The groups and rules.
    pub fn source(&self) -> &AccessRules {
        &self.0.source
    }

    /// The actions that the identity may do on a repository.
    fn granted(&self, identity: &Identity, name: &RepositoryName) -> ActionSet {
        match identity {
            Identity::Anonymous => self.0.granted_to(Client::Anybody, name),
            Identity::User(user) => self.0.granted_to(Client::user(user), name),
            Identity::Robot(robot) => {
                let own = robot.rights.actions(name);
                let bounded = match &robot.on_behalf_of {
                    Some(user) if !own.is_empty() => own.and(self.0.granted_to(Client::user(user), name)),
                    _ => own,
                };
                self.0.granted_to(Client::Anybody, name) | bounded
            }
        }
    }
}

impl Compiled {
    /// The actions that the rules give a client on a repository.
    fn granted_to(&self, client: Client<'_>, name: &RepositoryName) -> ActionSet {
        self.decisions.get_or(client.name(), name.as_str(), || {
            let rules = self.matching(client, name).into_iter();
            rules.map(|index| self.rules[index as usize].actions).fold(ActionSet::NONE, BitOr::bitor)
        })
    }

    /// The rules, by index and in order, that are for a client and for a repository.
    fn matching(&self, client: Client<'_>, name: &RepositoryName) -> Vec<u32> {
        let user = client.component();
        let mut matching = Vec::new();
        self.on.each_match(name, user, |index| {
            if self.rules[index as usize].is_for(client, &self.groups) {
                matching.push(index);
            }
        });
        if !matching.is_empty() {
            matching.sort_unstable();
            matching.dedup();
            self.except.each_match(name, user, |index| matching.retain(|rule| *rule != index));
        }
        matching
    }
}

/// No rules: nothing is allowed.
impl Default for Policy {
    #[expect(clippy::expect_used, reason = "there are no patterns")]
    fn default() -> Self {
        Self::new(AccessRules::default()).expect("invariant: no patterns are never too large")
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.0.source;
        f.debug_struct("Policy")
            .field("groups", &source.groups.iter().count())
            .field("rules", &source.rules.len())
            .finish()
    }
}
