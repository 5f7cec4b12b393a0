//! `import`: zot's policies as rules.

use std::collections::BTreeSet;

use sampan_config::{
    AccessRule, AccessRules, Group, OneOrMore, Permission, RepositoryPattern, ValueOrigin, Who,
};

use super::ZotError;
use super::pattern::{Translated, translate};
use super::source::{AccessControl, Policy, PolicyGroup};

/// The rules, and how they differ from zot's.
#[derive(Debug, Default)]
pub struct Import {
    /// The groups and rules.
    pub rules: AccessRules,
    /// Parts without a counterpart, which are left out: the rules grant less.
    pub left_out: Vec<String>,
    /// Where the rules give more, since they cannot give less.
    pub wider: Vec<String>,
}

/// Makes rules of the access control in a configuration of zot, in JSON.
///
/// # Errors
///
/// It is no such configuration, or one of its patterns cannot be translated.
pub fn import(config: &str) -> Result<Import, ZotError> {
    let control = AccessControl::parse(config)?;
    let mut patterns = Vec::new();
    for (text, group) in &control.repositories {
        patterns.push((text.as_str(), translate(text)?, group));
    }
    let mut import = Import::default();
    import.groups(&control);
    for (text, on, group) in &patterns {
        let longer = patterns
            .iter()
            .filter(|(other, translated, _)| other.len() > text.len() && translated.may_overlap(on));
        let except: Vec<RepositoryPattern> =
            longer.flat_map(|(_, translated, _)| translated.patterns.iter().cloned()).collect();
        for (other, translated, _) in &patterns {
            if other.len() == text.len() && *other > *text && translated.may_overlap(on) {
                import.wider.push(format!(
                    "`{text}` and `{other}` have one length, and zot takes either where both match; here both count"
                ));
            }
        }
        import.pattern(text, on, &except, group);
    }
    import.administrators(&control.admin);
    for key in &control.unread {
        import.left_out.push(format!("`{key}` has no counterpart"));
    }
    Ok(import)
}

/// The permissions of some actions of zot.
struct Permissions(BTreeSet<&'static str>);

impl Import {
    fn groups(&mut self, control: &AccessControl) {
        for (name, members) in &control.groups {
            let (usable, odd): (Vec<_>, Vec<_>) = members.iter().partition(|member| is_user(member));
            for member in odd {
                self.left_out.push(format!("the group `{name}` has `{member}`, which is no name of a user"));
            }
            let members = usable.into_iter().cloned().collect();
            self.rules.groups.insert(name.clone(), Group { origin: ValueOrigin::default(), members });
        }
    }

    fn pattern(&mut self, text: &str, on: &Translated, except: &[RepositoryPattern], group: &PolicyGroup) {
        let anonymous = self.permissions(&format!("`{text}`, anonymousPolicy"), &[&group.anonymous]);
        let users = self.permissions(&format!("`{text}`, defaultPolicy"), &[&group.default]);
        let takes_away = group.anonymous.iter().any(|action| !group.default.contains(action));
        if !anonymous.0.is_empty() && takes_away {
            self.wider.push(format!(
                "`{text}`: zot has anonymousPolicy for clients without a login alone; here users have it too"
            ));
        }
        self.rule(&[Who::Anonymous], &anonymous, on, except);
        if users.0 != anonymous.0 {
            self.rule(&[Who::Users], &users, on, except);
        }
        for (index, policy) in group.policies.iter().enumerate() {
            let place = format!("`{text}`, policies[{index}]");
            if policy.has_conditions {
                self.left_out
                    .push(format!("{place}: conditions have no counterpart; the whole policy is left out"));
                continue;
            }
            // What every user may do, each of these may do, too.
            let actions = [policy.actions.as_slice(), &group.default];
            let permissions = self.permissions(&place, &actions);
            let who = self.who(&place, policy);
            if permissions.0 != users.0 {
                self.rule(&who, &permissions, on, except);
            }
        }
    }

    fn administrators(&mut self, admin: &Policy) {
        if admin.has_conditions {
            self.left_out.push("adminPolicy: conditions have no counterpart; it is left out".to_owned());
            return;
        }
        let permissions = self.permissions("adminPolicy", &[&admin.actions]);
        let who = self.who("adminPolicy", admin);
        if let Ok(everything) = translate("**") {
            self.rule(&who, &permissions, &everything, &[]);
        }
    }

    fn who(&mut self, place: &str, policy: &Policy) -> Vec<Who> {
        let mut who = Vec::new();
        for user in &policy.users {
            match is_user(user) {
                true => who.push(Who::User(user.clone())),
                false => self
                    .left_out
                    .push(format!("{place}: `{user}` is no name of a user; in zot it gives nothing, either")),
            }
        }
        for group in &policy.groups {
            if self.rules.groups.get(group).is_none() {
                self.left_out.push(format!(
                    "{place}: the group `{group}` has no members in the configuration; add those that it has elsewhere"
                ));
                let members = Vec::new();
                self.rules.groups.insert(group.clone(), Group { origin: ValueOrigin::default(), members });
            }
            who.push(Who::Group(group.clone()));
        }
        who
    }

    /// The permissions that actions give together, and notes on those that give none.
    fn permissions(&mut self, place: &str, actions: &[&[String]]) -> Permissions {
        let actions: BTreeSet<&str> = actions.iter().copied().flatten().map(String::as_str).collect();
        let has = |action| actions.contains(action);
        let mut permissions = BTreeSet::new();
        let mut left_out = |what: &str| self.left_out.push(format!("{place}: {what}"));
        for action in &actions {
            match *action {
                "read" | "create" | "update" | "delete" => {}
                "detectManifestCollision" => left_out("`detectManifestCollision` has no counterpart"),
                other => left_out(&format!("the action `{other}` is unknown")),
            }
        }
        let (pushes, deletes) = (has("create") && has("update"), has("delete"));
        if has("create") != has("update") {
            let (one, other) = if has("create") { ("create", "update") } else { ("update", "create") };
            left_out(&format!("`{one}` without `{other}`: `push` gives both; add it if that may be"));
        }
        if has("read") {
            permissions.insert("pull");
            permissions.extend(pushes.then_some("push"));
            permissions.extend(deletes.then_some("delete"));
        } else if pushes || deletes {
            left_out("has no `read`, which `push` and `delete` include; add them if that may be");
        }
        Permissions(permissions)
    }

    fn rule(
        &mut self,
        who: &[Who],
        permissions: &Permissions,
        on: &Translated,
        except: &[RepositoryPattern],
    ) {
        let rule = (|| {
            Some(AccessRule {
                origin: ValueOrigin::default(),
                who: OneOrMore::new(who.to_vec())?,
                may: OneOrMore::new(permissions.list())?,
                on: OneOrMore::new(on.patterns.clone())?,
                except: except.to_vec(),
            })
        })();
        self.rules.rules.extend(rule);
    }
}

impl Permissions {
    /// The shortest list: `push` and `delete` include `pull`.
    fn list(&self) -> Vec<Permission> {
        let has = |permission| self.0.contains(permission);
        match (has("pull"), has("push"), has("delete")) {
            (_, true, true) => vec![Permission::All],
            (_, true, false) => vec![Permission::Push],
            (_, false, true) => vec![Permission::Delete],
            (true, false, false) => vec![Permission::Pull],
            (false, false, false) => Vec::new(),
        }
    }
}

/// Whether a name can be one of a user here.
fn is_user(name: &str) -> bool {
    !matches!(name, "" | "*") && !name.starts_with("user:") && !name.starts_with("group:")
}
