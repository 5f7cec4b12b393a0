//! `FixedPolicy`: the rules of the configuration itself, which change at SIGHUP.

use std::fmt;

use arc_swap::ArcSwap;
use sampan_config::AccessRules;

use super::audit::Audit;
use super::policy::{Policy, PolicyTooLarge};
use super::rules_event::{Cause, RulesIdentity};

/// The name of these rules in the record.
const SOURCE: &str = "access.rules";

/// The rules of the configuration.
pub struct FixedPolicy {
    policy: ArcSwap<Policy>,
    audit: Audit,
}

impl FixedPolicy {
    pub(super) fn new(rules: AccessRules, audit: Audit) -> Result<Self, PolicyTooLarge> {
        let policy = Policy::new(rules)?;
        audit.note(identity(&policy).read(SOURCE));
        Ok(Self { policy: ArcSwap::from_pointee(policy), audit })
    }

    pub(super) fn current(&self) -> Policy {
        Policy::clone(&self.policy.load())
    }

    /// Takes over other rules.
    pub(super) fn replace(&self, rules: AccessRules) -> Result<(), PolicyTooLarge> {
        let old = self.current();
        let new = match Policy::new(rules) {
            Ok(new) => new,
            Err(error) => {
                self.refused(&error.to_string());
                return Err(error);
            }
        };
        if let Some(event) = identity(&new).changed(&identity(&old), SOURCE, Cause::Signal) {
            self.audit.note(event);
        }
        self.policy.store(new.into());
        Ok(())
    }

    /// Records that other rules are not usable.
    pub(super) fn refused(&self, error: &str) {
        self.audit.note(identity(&self.current()).kept(SOURCE, Cause::Signal, error));
    }
}

impl fmt::Debug for FixedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FixedPolicy").field(&self.current()).finish()
    }
}

/// The rules have no file of their own; they are identified by the one that they would make.
fn identity(policy: &Policy) -> RulesIdentity {
    RulesIdentity::new(policy.source(), &policy.source().to_policy_file())
}

#[cfg(test)]
mod tests {
    use sampan_config::parse_policy;
    use serde_json::Value;

    use super::*;

    #[test]
    fn changes_are_recorded_and_an_unusable_configuration_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rules = |text: &str| parse_policy("config.yml", text).unwrap().rules;
        let policy = FixedPolicy::new(rules("rules: []"), Audit::to_file(path.clone()).unwrap()).unwrap();
        let one = "rules: [{who: users, may: pull, on: a}]";
        policy.replace(rules(one)).unwrap();
        policy.replace(rules(one)).unwrap();
        policy.refused("config.yml:1:1: no");
        assert_eq!(policy.current().source().rules.len(), 1);
        // A thread of its own writes the file.
        let text = loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() == 3 {
                break text;
            }
            std::thread::yield_now();
        };
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["rules read", "rules changed", "rules refused"]);
        assert_eq!((&lines[1]["rules"], &lines[1]["cause"]), (&"1".into(), &"SIGHUP".into()));
        assert_eq!(lines[1]["before"], lines[0]["after"]);
        assert_eq!(
            (&lines[2]["before"], &lines[2]["error"]),
            (&lines[1]["after"], &"config.yml:1:1: no".into())
        );
    }
}
