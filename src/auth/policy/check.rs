//! `check`: rules that are valid and yet perhaps not what their author means.

use std::collections::HashSet;

use globset::GlobMatcher;
use sampan_config::{AccessRule, AccessRules, Diagnostic, Origin, RepositoryPattern, Who};
use sampan_engine::oci::RepositoryName;

use super::actions::ActionSet;
use super::glob::compile;

/// Stands for the user's name where patterns are compared: no name has this character.
const ANY_USER: &str = "\u{1}";

/// Finds groups without members or rules, names in no password file (if `users` are all users), patterns that no name can match,
/// and rules that another one contains.
pub fn check(rules: &AccessRules, users: Option<&HashSet<String>>) -> Vec<Diagnostic> {
    let mut remarks = RuleWarnings(Vec::new());
    remarks.groups(rules);
    if let Some(users) = users {
        remarks.users(rules, users);
    }
    for rule in &rules.rules {
        for pattern in rule.on.iter().chain(&rule.except).filter(|pattern| can_match_nothing(pattern)) {
            remarks.add(&rule.origin, format!("no repository name can match `{pattern}`"));
        }
    }
    remarks.contained(rules);
    remarks.0.sort_by_key(|remark| match remark.origin {
        Origin::File { line, .. } => line,
        Origin::Environment(_) | Origin::Default => 0,
    });
    remarks.0
}

struct RuleWarnings(Vec<Diagnostic>);

impl RuleWarnings {
    fn add(&mut self, origin: &Origin, message: String) {
        self.0.push(Diagnostic { origin: origin.clone(), path: String::new(), message });
    }

    fn groups(&mut self, rules: &AccessRules) {
        let named: HashSet<&str> = rules
            .rules
            .iter()
            .flat_map(|rule| rule.who.iter())
            .filter_map(|who| match who {
                Who::Group(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        for (name, group) in rules.groups.iter() {
            if group.members.is_empty() {
                self.add(&group.origin, format!("the group `{name}` has no members"));
            }
            if !named.contains(name) {
                self.add(&group.origin, format!("no rule is for the group `{name}`"));
            }
        }
    }

    fn users(&mut self, rules: &AccessRules, users: &HashSet<String>) {
        for (name, group) in rules.groups.iter() {
            for member in group.members.iter().filter(|member| !users.contains(*member)) {
                let message = format!("`{member}`, in the group `{name}`, is not in the password file");
                self.add(&group.origin, message);
            }
        }
        for rule in &rules.rules {
            for who in rule.who.iter() {
                if let Who::User(name) = who
                    && !users.contains(name)
                {
                    self.add(&rule.origin, format!("`{name}` is not in the password file"));
                }
            }
        }
    }

    fn contained(&mut self, rules: &AccessRules) {
        let compared: Vec<Compared<'_>> = rules.rules.iter().map(Compared::new).collect();
        for (index, rule) in compared.iter().enumerate() {
            let contains = |(other_index, other): &(usize, &Compared<'_>)| {
                *other_index != index
                    && other.contains(rule, rules)
                    // Of two rules that say the same, the later one is superfluous.
                    && (*other_index < index || !rule.contains(other, rules))
            };
            if let Some((_, other)) = compared.iter().enumerate().find(contains) {
                let message = format!(
                    "the rule gives nothing that {} does not: {}",
                    other.rule.origin.note(),
                    other.rule
                );
                self.add(&rule.rule.origin, message);
            }
        }
    }
}

/// Whether the grammar of names leaves a pattern nothing to match. Letters in place of wildcards make a name if anything does.
fn can_match_nothing(pattern: &RepositoryPattern) -> bool {
    !pattern.globs("a").any(|glob| {
        let name = glob.replace("**", "a").replace(['*', '?'], "a");
        name.parse::<RepositoryName>().is_ok()
    })
}

/// A rule with its patterns, for comparisons.
struct Compared<'a> {
    rule: &'a AccessRule,
    actions: ActionSet,
    on: Vec<Pattern>,
    except: Vec<Pattern>,
    names_user: bool,
}

/// A pattern without braces.
struct Pattern {
    glob: String,
    /// For patterns with wildcards.
    matcher: Option<GlobMatcher>,
}

impl<'a> Compared<'a> {
    fn new(rule: &'a AccessRule) -> Self {
        let patterns = |list: &[RepositoryPattern]| {
            list.iter().flat_map(|pattern| pattern.globs(ANY_USER)).map(Pattern::new).collect()
        };
        Self {
            rule,
            actions: ActionSet::given_by_all(&rule.may),
            on: patterns(&rule.on),
            except: patterns(&rule.except),
            names_user: rule.on.iter().chain(&rule.except).any(RepositoryPattern::names_user),
        }
    }

    /// Whether the rule certainly gives all that `other` gives; `false` proves nothing.
    fn contains(&self, other: &Self, rules: &AccessRules) -> bool {
        self.actions.contains(other.actions)
            && (!self.names_user || other.names_user)
            && other.rule.who.iter().all(|who| self.is_for(who, rules))
            && other.on.iter().all(|small| self.on.iter().any(|big| big.covers(small)))
            && self.except.iter().all(|small| other.except.iter().any(|big| big.covers(small)))
    }

    fn is_for(&self, who: &Who, rules: &AccessRules) -> bool {
        self.rule.who.iter().any(|mine| match (mine, who) {
            (Who::Anonymous | Who::Everyone, _) => true,
            (_, Who::Anonymous | Who::Everyone) => false,
            (Who::Users, _) => true,
            (Who::Group(group), Who::User(user)) => {
                rules.groups.get(group).is_some_and(|group| group.members.contains(user))
            }
            (mine, who) => mine == who,
        })
    }
}

impl Pattern {
    fn new(glob: String) -> Self {
        let has_wildcard = glob.contains(['*', '?']);
        // `*` matches whatever the user's name is, and `?` only a name of one character.
        let not_user = format!("[!{ANY_USER}/]");
        let matcher = has_wildcard.then(|| compile(&glob.replace('?', &not_user)).ok()).flatten();
        Self { matcher: matcher.map(|glob| glob.compile_matcher()), glob }
    }

    /// Whether the pattern certainly matches all that `small` matches; `false` proves nothing.
    fn covers(&self, small: &Self) -> bool {
        let below = |prefix: &str| {
            !prefix.contains(['*', '?'])
                && small.glob.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
        };
        self.glob == small.glob
            || self.glob == "**"
            || self.glob.strip_suffix("/**").is_some_and(below)
            || small.matcher.is_none()
                && self.matcher.as_ref().is_some_and(|matcher| matcher.is_match(&small.glob))
    }
}
