//! A policy file, or a policy of zot: refused with reasons, or its printed rules decide as it does, and explanations agree.

use std::sync::Arc;

use sampan::auth::policy::{Policy, check, zot};
use sampan::auth::{Access, Action, Identity, Resource, Rights, Robot};
use sampan::config::{AccessRules, parse_policy};

/// A longer file makes runs slow, and says nothing new.
const MAX_BYTES: usize = 4 << 10;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > MAX_BYTES {
        return;
    }
    if text.starts_with('{')
        && let Ok(imported) = zot::import(text)
    {
        decide(&imported.rules);
    }
    match parse_policy("access.yml", text) {
        Ok(loaded) => decide(&loaded.rules),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(mistake.origin.to_string().starts_with("access.yml:") && !mistake.message.is_empty());
            }
        }
    }
}

fn decide(rules: &AccessRules) {
    let printed = rules.to_policy_file();
    let again =
        parse_policy("printed", &printed).unwrap_or_else(|mistakes| panic!("{printed}\n{mistakes:?}"));
    assert_eq!(again.rules.to_policy_file(), printed);
    let _ = check(rules, None);
    let (Ok(policy), Ok(again)) = (Policy::new(rules.clone()), Policy::new(again.rules)) else { return };
    let mut identities = vec![Identity::Anonymous];
    identities.extend(["alice", "b/c", "Dave"].map(|name| Identity::User(name.to_owned())));
    identities.extend([None, Some("alice")].map(robot));
    for identity in &identities {
        for name in ["a", "team/app", "home/alice/x"] {
            let name: sampan_engine::oci::RepositoryName =
                name.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(policy.actions(identity, &name), again.actions(identity, &name), "{printed}");
            for action in [Action::Pull, Action::Push, Action::Delete, Action::All] {
                let access = Access { resource: Resource::Repository(name.clone()), action };
                let allows = policy.allows(identity, &access);
                assert_eq!(
                    policy.explain(identity, &access).allowed,
                    allows,
                    "{identity:?} {access}\n{printed}"
                );
            }
        }
        let catalog = Access::catalog();
        assert_eq!(
            policy.explain(identity, &catalog).allowed,
            policy.allows(identity, &catalog),
            "{printed}"
        );
    }
}

fn robot(on_behalf_of: Option<&str>) -> Identity {
    let text = "it is a valid right";
    let rights =
        Rights::new(vec!["push".parse().expect(text)], vec!["team/**".parse().expect(text)], Vec::new());
    let on_behalf_of = on_behalf_of.map(str::to_owned);
    Identity::Robot(Arc::new(Robot {
        id: "aaaaaaaaaaaaaaaa".parse().expect(text),
        name: "ci".to_owned(),
        rights: rights.expect(text),
        on_behalf_of,
    }))
}
