//! Explains decisions, rule by rule and apart from the compiled patterns: `registry access explain` and a test hold the two to
//! one answer.

use sampan_config::{AccessRule, RepositoryPattern, Who};
use sampan_engine::oci::RepositoryName;

use super::super::{Access, Action, Identity, Resource, Robot};
use super::Policy;
use super::actions::ActionSet;
use super::explanation::{Explanation, Membership, NearMiss, Reason};
use super::glob::compile;
use super::rule::Client;

impl Policy {
    /// Why an access is allowed or not: the rules that give it, or those that come nearest. Not for the path of requests: it
    /// compiles each pattern.
    pub fn explain(&self, identity: &Identity, access: &Access) -> Explanation {
        let mut explanation = Explanation::new(identity.name(), access, self.source().rules.len());
        match &access.resource {
            Resource::Catalog => self.explain_catalog(identity, &mut explanation),
            Resource::Repository(name) => {
                self.explain_repository(identity, name, access.action, &mut explanation);
            }
        }
        if !explanation.allowed {
            explanation.status = Some(if identity.is_known() { 403 } else { 401 });
        }
        explanation
    }

    fn explain_catalog(&self, identity: &Identity, explanation: &mut Explanation) {
        let for_everyone = |rule: &&AccessRule| rule.who.iter().any(Who::is_everyone);
        match self.source().rules.iter().find(for_everyone) {
            _ if identity.is_known() => explanation.because.push(Reason::Known),
            Some(rule) => explanation.because.push(reason(rule, None)),
            None => {}
        }
        explanation.allowed = !explanation.because.is_empty();
    }

    fn explain_repository(
        &self,
        identity: &Identity,
        name: &RepositoryName,
        action: Action,
        explanation: &mut Explanation,
    ) {
        let needed = ActionSet::needed_by(action);
        match identity {
            Identity::Anonymous => self.by_rules(Client::Anybody, name, needed).put_into(explanation),
            Identity::User(user) => self.by_rules(Client::user(user), name, needed).put_into(explanation),
            Identity::Robot(robot) => self.explain_robot(robot, name, needed, explanation),
        }
    }

    fn explain_robot(
        &self,
        robot: &Robot,
        name: &RepositoryName,
        needed: ActionSet,
        explanation: &mut Explanation,
    ) {
        let everyone = self.by_rules(Client::Anybody, name, needed);
        if everyone.missing.is_empty() {
            everyone.put_into(explanation);
            return;
        }
        let rights = robot.rights.to_string();
        if !robot.rights.actions(name).contains(everyone.missing) {
            explanation.nearest.push(NearMiss::Robot { rights });
            return;
        }
        explanation.because = everyone.reasons;
        explanation.because.push(Reason::Robot { rights });
        explanation.allowed = true;
        let Some(user) = &robot.on_behalf_of else { return };
        let mut bound = self.by_rules(Client::user(user), name, everyone.missing);
        for reason in &mut bound.reasons {
            if let Reason::Rule { on_behalf_of, .. } = reason {
                *on_behalf_of = Some(user.clone());
            }
        }
        explanation.because.append(&mut bound.reasons);
        if !bound.missing.is_empty() {
            explanation.because.clear();
            explanation.allowed = false;
            explanation.nearest.push(NearMiss::User { user: user.clone() });
            explanation.nearest.extend(bound.nearest);
        }
    }

    /// Goes through the rules, in order, until they give what is needed.
    fn by_rules(&self, client: Client<'_>, name: &RepositoryName, needed: ActionSet) -> RuleMatches {
        let mut found = RuleMatches { missing: needed, reasons: Vec::new(), nearest: None };
        let mut nearest: Option<(u8, NearMiss)> = None;
        for rule in &self.source().rules {
            let gives = ActionSet::given_by_all(&rule.may);
            let Some(standing) = self.standing(rule, client, name) else { continue };
            if matches!(standing, Applicability::Allows(_)) && !gives.and(found.missing).is_empty() {
                let Applicability::Allows(member) = standing else { continue };
                found.missing = found.missing.without(gives);
                found.reasons.push(reason(rule, member));
                // A rule that gives part of what is needed is the nearest.
                if nearest.as_ref().is_none_or(|(rank, _)| *rank < 5) {
                    nearest = Some((5, NearMiss::gives(rule.origin.note(), gives)));
                }
                if found.missing.is_empty() {
                    return found;
                }
                continue;
            }
            let near = nearness(rule, standing, gives.contains(needed));
            if let Some((rank, near)) = near
                && nearest.as_ref().is_none_or(|(best, _)| rank > *best)
            {
                nearest = Some((rank, near));
            }
        }
        found.nearest = nearest.map(|(_, near)| near);
        found
    }

    /// How a rule and an access stand to each other; `None` if they have nothing to do with each other.
    fn standing(
        &self,
        rule: &AccessRule,
        client: Client<'_>,
        name: &RepositoryName,
    ) -> Option<Applicability> {
        let is_for = self.is_for(rule, client);
        let user = client.component();
        let needs_user = rule.on.iter().chain(&rule.except).any(RepositoryPattern::names_user);
        if needs_user && user.is_none() {
            let is_user = matches!(client, Client::User { .. });
            return (is_user && is_for.is_some()).then_some(Applicability::NeedsName);
        }
        let matches = |pattern: &&RepositoryPattern| is_match(pattern, user.unwrap_or_default(), name);
        rule.on.iter().find(matches)?;
        Some(match (is_for, rule.except.iter().find(matches)) {
            (Some(_), Some(pattern)) => Applicability::Excepted(pattern.to_string()),
            (Some(member), None) => Applicability::Allows(member),
            (None, Some(_)) => return None,
            (None, None) => Applicability::ForOthers,
        })
    }

    /// Whether the rule is for the client, and by what group.
    fn is_for(&self, rule: &AccessRule, client: Client<'_>) -> Option<Option<Membership>> {
        let Client::User { name: user, .. } = client else {
            return rule.who.iter().any(Who::is_everyone).then_some(None);
        };
        let directly = rule.who.iter().any(|who| match who {
            Who::Anonymous | Who::Everyone | Who::Users => true,
            Who::User(name) => name == user,
            Who::Group(_) => false,
        });
        if directly {
            return Some(None);
        }
        rule.who.iter().find_map(|who| {
            let Who::Group(name) = who else { return None };
            let group = self.source().groups.get(name)?;
            let is_member = group.members.iter().any(|member| member == user);
            is_member.then(|| {
                Some(Membership { user: user.to_owned(), group: name.clone(), place: group.origin.note() })
            })
        })
    }
}

/// The needed actions that the rules grant, and those that they do not.
struct RuleMatches {
    /// The actions that no rule gives.
    missing: ActionSet,
    /// The rules that give the others.
    reasons: Vec<Reason>,
    nearest: Option<NearMiss>,
}

impl RuleMatches {
    fn put_into(self, explanation: &mut Explanation) {
        explanation.allowed = self.missing.is_empty();
        match explanation.allowed {
            true => explanation.because = self.reasons,
            false => explanation.nearest.extend(self.nearest),
        }
    }
}

/// Whether and how a rule applies to an access.
enum Applicability {
    /// The rule is for the client and the repository, perhaps by a group.
    Allows(Option<Membership>),
    /// The rule would be, but for this exception.
    Excepted(String),
    /// The rule is for the repository, and for other clients.
    ForOthers,
    /// The rule is for the client, whose name it cannot use.
    NeedsName,
}

/// How near a rule comes to giving what is needed, if it does not.
fn nearness(rule: &AccessRule, standing: Applicability, gives_all: bool) -> Option<(u8, NearMiss)> {
    let place = rule.origin.note();
    match standing {
        Applicability::Excepted(pattern) if gives_all => Some((4, NearMiss::Excepted { place, pattern })),
        Applicability::Allows(_) => Some((3, NearMiss::gives(place, ActionSet::given_by_all(&rule.may)))),
        Applicability::ForOthers if gives_all => {
            let who: Vec<String> = rule.who.iter().map(ToString::to_string).collect();
            Some((2, NearMiss::Others { place, who: who.join(", ") }))
        }
        Applicability::NeedsName if gives_all => Some((1, NearMiss::Name { place })),
        Applicability::Excepted(_) | Applicability::ForOthers | Applicability::NeedsName => None,
    }
}

fn reason(rule: &AccessRule, member: Option<Membership>) -> Reason {
    Reason::Rule { place: rule.origin.note(), rule: rule.to_string(), on_behalf_of: None, member }
}

fn is_match(pattern: &RepositoryPattern, user: &str, name: &RepositoryName) -> bool {
    let mut globs = pattern.globs(user).filter_map(|glob| compile(&glob).ok());
    globs.any(|glob| glob.compile_matcher().is_match(name.as_str()))
}
