//! Decisions by the rules of the documentation, and what `explain` and `check` say of them.

use std::collections::HashSet;
use std::sync::Arc;

use sampan_config::{Permission, parse_policy};
use sampan_engine::AccessTokenId;

use super::super::{Access, Action, Identity, Resource, Robot};
use super::*;

const RULES: &str = "\
groups:
  dev: [alice, bob]
  ops: [carol]
rules:
  - {who: anonymous, may: pull, on: ['public/**', 'library/*']}
  - {who: users,     may: pull, on: '**', except: ['secret/**']}
  - {who: 'group:dev', may: push, on: 'team/**'}
  - {who: users,     may: [push, delete], on: 'home/${user}/**'}
  - {who: 'group:ops', may: '*', on: '**'}
";

pub(super) fn policy(text: &str) -> Policy {
    let loaded = parse_policy("/etc/registry/access.yml", text);
    Policy::new(loaded.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).rules).unwrap()
}

pub(super) fn user(name: &str) -> Identity {
    Identity::User(name.to_owned())
}

fn robot(name: &str, may: &[Permission], on: &str, except: &[&str], on_behalf_of: Option<&str>) -> Identity {
    let except = except.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let rights = Rights::new(may.to_vec(), vec![on.parse().unwrap()], except).unwrap();
    let on_behalf_of = on_behalf_of.map(str::to_owned);
    Identity::Robot(Arc::new(Robot {
        id: AccessTokenId::random(),
        name: name.to_owned(),
        rights,
        on_behalf_of,
    }))
}

pub(super) fn access(repository: &str, action: Action) -> Access {
    Access { resource: Resource::Repository(repository.parse().unwrap()), action }
}

/// The actions that an identity may do with a repository, as one letter each.
#[track_caller]
fn check_actions(policy: &Policy, identity: &Identity, repository: &str, expected: &str) {
    let name = repository.parse().unwrap();
    let actions: String =
        policy.actions(identity, &name).into_iter().map(|action| &action.as_str()[..2]).collect();
    assert_eq!(actions, expected, "{identity:?} {repository}");
    for action in [Action::Pull, Action::Push, Action::Delete, Action::All] {
        let access = access(repository, action);
        let expected = match action {
            Action::All => expected == "pupude",
            Action::Pull => !expected.is_empty(),
            Action::Push => expected.starts_with("pupu"),
            Action::Delete => expected.ends_with("de"),
        };
        assert_eq!(policy.allows(identity, &access), expected, "{identity:?} {access}");
        assert_eq!(policy.explain(identity, &access).allowed, expected, "{identity:?} {access}");
    }
}

#[test]
fn the_rules_of_the_documentation_decide_as_it_says() {
    let policy = policy(RULES);
    for (identity, repository, expected) in [
        (Identity::Anonymous, "public/a", "pu"),
        (Identity::Anonymous, "public/a/b", "pu"),
        (Identity::Anonymous, "public", ""),
        (Identity::Anonymous, "library/alpine", "pu"),
        (Identity::Anonymous, "library/a/b", ""),
        (Identity::Anonymous, "team/app", ""),
        (user("dave"), "team/app", "pu"),
        (user("dave"), "secret/x", ""),
        (user("dave"), "secret", "pu"),
        (user("dave"), "home/dave/x", "pupude"),
        (user("dave"), "home/dave", "pu"),
        (user("dave"), "home/alice/x", "pu"),
        (user("Dave"), "home/dave/x", "pu"),
        (user("d/**"), "home/d/x", "pu"),
        (user("*"), "home/dave/x", "pu"),
        (user("**"), "home/dave/x", "pu"),
        (user("{dave,d}"), "home/dave/x", "pu"),
        (user(""), "home/dave/x", "pu"),
        (user("alice"), "team/app", "pupu"),
        (user("alice"), "team", "pu"),
        (user("alice"), "teams/app", "pu"),
        (user("alice"), "library/alpine", "pu"),
        (user("carol"), "secret/x", "pupude"),
        (user("anonymous"), "secret/x", ""),
        (user("group:ops"), "secret/x", ""),
    ] {
        check_actions(&policy, &identity, repository, expected);
    }
}

#[test]
fn a_robot_has_what_everybody_has_and_its_own_rights_within_those_of_its_user() {
    let policy = policy(RULES);
    let push = &[Permission::Push];
    let all = &[Permission::All];
    for (identity, repository, expected) in [
        (robot("ci", push, "team/**", &[], None), "team/app", "pupu"),
        (robot("ci", push, "team/**", &["team/x"], None), "team/x", ""),
        (robot("ci", push, "team/**", &[], None), "public/a", "pu"),
        // It is no user.
        (robot("ci", push, "team/**", &[], None), "home/ci/x", ""),
        (robot("alice", push, "x/**", &[], None), "team/app", ""),
        (robot("own", all, "**", &[], Some("alice")), "team/app", "pupu"),
        (robot("own", all, "**", &[], Some("alice")), "secret/x", ""),
        (robot("own", all, "**", &[], Some("alice")), "home/alice/x", "pupude"),
        (robot("own", push, "secret/**", &[], Some("carol")), "secret/x", "pupu"),
        (robot("own", push, "secret/**", &[], Some("carol")), "team/app", ""),
        (robot("own", push, "secret/**", &[], Some("zoe")), "secret/x", ""),
    ] {
        check_actions(&policy, &identity, repository, expected);
    }
}

#[test]
fn the_catalog_is_for_known_clients_or_all() {
    let (everyone, users) = (policy(RULES), policy("rules: [{who: users, may: pull, on: '**'}]"));
    let ci = robot("ci", &[Permission::Pull], "a", &[], None);
    for (policy, identity, expected) in [
        (&everyone, &Identity::Anonymous, true),
        (&users, &Identity::Anonymous, false),
        (&users, &user("dave"), true),
        (&users, &ci, true),
        (&Policy::default(), &user("dave"), true),
        (&Policy::default(), &Identity::Anonymous, false),
    ] {
        assert_eq!(policy.allows(identity, &Access::catalog()), expected, "{identity:?}");
        assert_eq!(policy.explain(identity, &Access::catalog()).allowed, expected, "{identity:?}");
    }
    assert!(everyone.has_rules_for_anonymous() && !users.has_rules_for_anonymous());
}

#[test]
fn an_identity_sees_everything_by_a_rule_without_exception() {
    let policy = policy(RULES);
    let bound = |user| robot("own", &[Permission::Pull], "**", &[], Some(user));
    for (identity, expected) in [
        (Identity::Anonymous, false),
        (user("dave"), false),
        (user("carol"), true),
        (robot("ci", &[Permission::Pull], "**", &[], None), true),
        (robot("ci", &[Permission::Pull], "**", &["a"], None), false),
        (bound("carol"), true),
        (bound("dave"), false),
    ] {
        assert_eq!(policy.sees_everything(&identity), expected, "{identity:?}");
    }
    assert!(!Policy::default().sees_everything(&user("carol")));
}

#[test]
fn an_exception_limits_its_own_rule_alone() {
    let policy = policy(
        "rules:\n  - {who: users, may: push, on: 'a/**', except: ['a/x/**', 'a/${user}']}\n  - {who: user:eve, may: pull, on: \
         a/x/y}\n",
    );
    check_actions(&policy, &user("eve"), "a/x/y", "pu");
    check_actions(&policy, &user("eve"), "a/x/z", "");
    check_actions(&policy, &user("eve"), "a/eve", "");
    check_actions(&policy, &user("bob"), "a/eve", "pupu");
    // The exception has no meaning for this name, so the rule gives nothing.
    check_actions(&policy, &user("Eve"), "a/eve", "");
}

#[test]
fn patterns_of_one_length_give_one_answer() {
    let policy = policy(
        "rules:\n  - {who: users, may: pull, on: 'a/*/c'}\n  - {who: users, may: push, on: 'a/b/*'}\n  - {who: users, may: \
         delete, on: '*/b/c'}\n",
    );
    for _ in 0..1000 {
        check_actions(&policy, &user("eve"), "a/b/c", "pupude");
    }
    check_actions(&policy, &user("eve"), "a/x/c", "pu");
}

#[test]
fn rights_need_a_permission_a_pattern_and_no_user() {
    let on = |pattern: &str| vec![pattern.parse().unwrap()];
    assert!(matches!(Rights::new(vec![], on("a"), vec![]), Err(InvalidRights::Empty)));
    assert!(matches!(Rights::new(vec![Permission::Pull], vec![], vec![]), Err(InvalidRights::Empty)));
    let named = Rights::new(vec![Permission::Pull], on("home/${user}"), vec![]).unwrap_err();
    assert_eq!(named.to_string(), "`home/${user}`: a token has no `${user}`; write the name");
}

#[test]
fn an_explanation_names_the_rule_or_the_nearest_one() {
    let policy = policy(RULES);
    let push = &[Permission::Push];
    for (identity, repository, action, expected) in [
        (
            user("alice"),
            "team/app",
            Action::Push,
            "alice may push to team/app\n  because access.yml:7  {who: group:dev, may: push, on: team/**}\n  alice is in group dev \
             (access.yml:2)",
        ),
        (
            user("bob"),
            "library/alpine",
            Action::Delete,
            "bob may not delete library/alpine → 403 DENIED\n  5 rules, none gives it; nearest: access.yml:5 gives pull",
        ),
        (
            user("bob"),
            "team/app",
            Action::All,
            "bob may not pull, push and delete team/app → 403 DENIED\n  5 rules, none gives it; nearest: access.yml:6 gives pull",
        ),
        (
            user("dave"),
            "secret/x",
            Action::Pull,
            "dave may not pull secret/x → 403 DENIED\n  5 rules, none gives it; nearest: access.yml:6 leaves it out, except \
             secret/**",
        ),
        (
            user("Dave"),
            "home/dave/x",
            Action::Delete,
            "Dave may not delete home/dave/x → 403 DENIED\n  5 rules, none gives it; nearest: access.yml:6 gives pull",
        ),
        (
            Identity::Anonymous,
            "team/app",
            Action::Pull,
            "anonymous may not pull team/app → 401\n  5 rules, none gives it; nearest: access.yml:6 gives it to users",
        ),
        (
            robot("ci", push, "team/**", &[], None),
            "team/app",
            Action::Push,
            "ci may push to team/app\n  because the token may push, on team/**",
        ),
        (
            robot("ci", push, "team/**", &["team/x"], None),
            "team/x",
            Action::Pull,
            "ci may not pull team/x → 403 DENIED\n  5 rules, none gives it; nearest: the token may push, on team/**, except team/x",
        ),
        (
            robot("own", push, "**", &[], Some("alice")),
            "team/app",
            Action::Push,
            "own may push to team/app\n  because the token may push, on **\n  and alice, for whom it acts, may, because \
             access.yml:7  {who: group:dev, may: push, on: team/**}\n  alice is in group dev (access.yml:2)",
        ),
        (
            robot("own", push, "**", &[], Some("alice")),
            "secret/x",
            Action::Push,
            "own may not push to secret/x → 403 DENIED\n  5 rules, none gives it; nearest: the token gives it, but alice, for whom \
             it acts, may not, access.yml:9 gives it to group:ops",
        ),
    ] {
        let explanation = policy.explain(&identity, &access(repository, action));
        assert_eq!(explanation.to_string(), expected);
    }
    let none = Policy::default().explain(&user("dave"), &access("a", Action::Pull));
    assert_eq!(none.to_string(), "dave may not pull a → 403 DENIED\n  there is no rule");
}

#[test]
fn an_explanation_has_a_form_for_programs() {
    let explanation = policy(RULES).explain(&user("alice"), &access("team/app", Action::Push));
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "who": "alice", "scope": "repository:team/app:push", "allowed": true, "rules": 5, "nearest": [],
            "because": [{
                "kind": "rule", "place": "access.yml:7", "rule": "{who: group:dev, may: push, on: team/**}",
                "member": {"user": "alice", "group": "dev", "place": "access.yml:2"},
            }],
        })
    );
}

#[test]
fn valid_rules_that_mean_little_are_found() {
    let text = "\
groups:
  dev: [alice, zoe]
  ops: []
  old: [alice]
rules:
  - {who: users, may: push, on: 'team/**', except: team/x}
  - {who: 'group:dev', may: pull, on: team/a/*, except: [team/x]}
  - {who: 'group:dev', may: pull, on: team/a/*}
  - {who: 'group:ops', may: '*', on: ['{a..b,_c}/**', 'ok']}
  - {who: 'user:max', may: pull, on: 'public/**', except: 'public/-x'}
  - {who: everyone, may: pull, on: 'public/**'}
  - {who: users, may: pull, on: 'home/${user}/**'}
  - {who: users, may: push, on: 'home/**'}
";
    let users: HashSet<String> = ["alice".to_owned()].into();
    let loaded = parse_policy("access.yml", text).unwrap();
    let shown = |users| check(&loaded.rules, users).iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = [
        "access.yml:2:3: `zoe`, in the group `dev`, is not in the password file",
        "access.yml:3:3: the group `ops` has no members",
        "access.yml:4:3: no rule is for the group `old`",
        "access.yml:7:5: the rule gives nothing that access.yml:6 does not: {who: users, may: push, on: team/**, except: team/x}",
        "access.yml:9:5: no repository name can match `{a..b,_c}/**`",
        "access.yml:10:5: `max` is not in the password file",
        "access.yml:10:5: no repository name can match `public/-x`",
        "access.yml:10:5: the rule gives nothing that access.yml:11 does not: {who: everyone, may: pull, on: public/**}",
        "access.yml:12:5: the rule gives nothing that access.yml:13 does not: {who: users, may: push, on: home/**}",
    ];
    assert_eq!(shown(Some(&users)), expected);
    assert_eq!(shown(None).len(), expected.len() - 2);
}

#[test]
fn a_users_name_is_more_than_one_character() {
    let contained = |on: &str| {
        let rule = "  - {who: users, may: pull, on:";
        let text = format!("rules:\n{rule} 'x/${{user}}/a'}}\n{rule} '{on}'}}\n");
        !check(&parse_policy("p", &text).unwrap().rules, None).is_empty()
    };
    for on in ["x/**", "x/*/a", "x/*/?", "*/*/*", "**/?"] {
        assert!(contained(on), "{on}");
    }
    for on in ["x/?/a", "?/?/?", "x/?/**", "x/??/a", "**/?/*"] {
        assert!(!contained(on), "{on}");
    }
}

#[test]
fn what_is_open_below_a_folder_follows_from_one_rule() {
    let is_open = |rule: &str| {
        let policy = policy(&format!("rules:\n- {rule}\n- {{who: users, may: pull, on: '**'}}\n"));
        policy.anonymous_may_pull_below(&"docker.io/team".parse().unwrap())
    };
    for on in ["'**'", "'docker.io/**'", "'docker.io/team/**'", "'{x,docker.io}/**'", "[x, 'docker.io/**']"] {
        assert!(is_open(&format!("{{who: anonymous, may: pull, on: {on}}}")), "{on}");
        assert!(is_open(&format!("{{who: everyone, may: push, on: {on}}}")), "{on}: a push includes a pull");
        assert!(!is_open(&format!("{{who: users, may: pull, on: {on}}}")), "{on}");
        assert!(!is_open(&format!("{{who: everyone, may: pull, on: {on}, except: y}}")), "{on}");
    }
    for on in
        ["docker.io/*", "'docker.io/team/*'", "docker.io/team", "'docker.io/te/**'", "'docker.io/team/x/**'"]
    {
        assert!(!is_open(&format!("{{who: everyone, may: pull, on: {on}}}")), "{on}");
    }
}
