//! The import, compared with zot's own decisions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sampan_config::parse_policy;
use serde_json::json;

use super::super::super::{Action, Identity};
use super::super::{Policy, tests::user};
use super::*;

fn imported(import: &Import) -> Policy {
    // What is printed is what counts.
    let text = import.rules.to_policy_file();
    let loaded = parse_policy("imported", &text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"));
    Policy::new(loaded.rules).unwrap()
}

#[test]
fn a_policy_is_translated_and_the_rest_is_listed() {
    let config = json!({"http": {"address": "::", "accessControl": {
        "groups": {"dev": {"users": ["jack", "jane"]}},
        "repositories": {
            "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read", "create"]},
            "infra/**": {
                "policies": [
                    {"users": ["alice", "*"], "actions": ["read", "create", "update"]},
                    {"groups": ["dev", "ldap"], "actions": ["read", "delete", "detectManifestCollision"]},
                    {"users": ["eve"], "actions": ["read"], "conditions": [{"expression": "true"}]},
                ],
                "defaultPolicy": ["read"],
            },
            "infra/secret": {},
        },
        "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]},
        "metrics": {"users": ["m"]},
    }}});
    let import = import(&config.to_string()).unwrap();
    assert_eq!(
        import.rules.to_policy_file(),
        "groups:\n  dev: [jack, jane]\n  ldap: []\nrules:\n  - {who: anonymous, may: pull, on: \"**\", except: [infra, infra/**, \
         infra/secret]}\n  - {who: users, may: pull, on: [infra, infra/**], except: infra/secret}\n  - {who: user:alice, may: push, \
         on: [infra, infra/**], except: infra/secret}\n  - {who: [group:dev, group:ldap], may: delete, on: [infra, infra/**], \
         except: infra/secret}\n  - {who: user:root, may: \"*\", on: \"**\"}\n"
    );
    assert_eq!(
        import.left_out,
        [
            "`**`, defaultPolicy: `create` without `update`: `push` gives both; add it if that may be",
            "`infra/**`, policies[0]: `*` is no name of a user; in zot it gives nothing, either",
            "`infra/**`, policies[1]: `detectManifestCollision` has no counterpart",
            "`infra/**`, policies[1]: the group `ldap` has no members in the configuration; add those that it has elsewhere",
            "`infra/**`, policies[2]: conditions have no counterpart; the whole policy is left out",
            "`metrics` has no counterpart",
        ]
    );
    assert!(import.wider.is_empty(), "{:?}", import.wider);
}

#[test]
fn what_anonymous_clients_may_do_adds_nothing_to_what_users_may() {
    for (anonymous, default, policy) in [
        (["create", "update"].as_slice(), ["read"].as_slice(), [].as_slice()),
        (&["delete"], &[], &["read"]),
        (&["update"], &["read"], &["create"]),
    ] {
        let group = json!({
            "anonymousPolicy": anonymous, "defaultPolicy": default,
            "policies": [{"users": ["ann"], "actions": policy}],
        });
        let import = import(&json!({"repositories": {"team/**": group}}).to_string()).unwrap();
        let given = imported(&import).actions(&user("ann"), &"team/app".parse().unwrap());
        assert_eq!(given, [Action::Pull], "{anonymous:?} {default:?} {policy:?}");
    }
}

#[test]
fn patterns_without_a_counterpart_are_errors_and_lengths_are_noted() {
    let of = |patterns: &[&str]| {
        let group = json!({"anonymousPolicy": ["read"]});
        let repositories: serde_json::Map<_, _> =
            patterns.iter().map(|pattern| ((*pattern).to_owned(), group.clone())).collect();
        import(&json!({"repositories": repositories}).to_string())
    };
    for pattern in ["a[bc]", "a\\*", "{a,b/**}", "x/**/**", "Team/*", "a}**", "**{a,b}", "{a}", "/a", ""] {
        let error = of(&[pattern]).unwrap_err().to_string();
        assert!(error.contains(&format!("the pattern `{pattern}` ")), "{error}");
    }
    let import = of(&["a/*", "*/b", "c/d"]).unwrap();
    assert!(
        import.wider.iter().any(|note| note.starts_with("`*/b` and `a/*` have one length")),
        "{:?}",
        import.wider
    );
    assert!(!import.wider.iter().any(|note| note.contains("c/d` have") || note.starts_with("`c/d` and")));
    for (text, expected) in [
        ("{", "it is not JSON"),
        ("{\"http\": {}}", "it has no `http.accessControl`"),
        ("{\"repositories\": []}", "repositories: expected an object"),
        ("{\"repositories\": {\"a\": {\"policies\": {}}}}", "a.policies: expected a list"),
        ("{\"repositories\": {\"a\": {\"defaultPolicy\": [5]}}}", "a: expected a list of texts"),
    ] {
        let error = super::import(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A policy for the reference.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Users, groups, actions.
    policies: Vec<(Vec<&'static str>, Vec<&'static str>, Vec<&'static str>)>,
    default: Vec<&'static str>,
    anonymous: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Zot {
    repositories: BTreeMap<&'static str, Group>,
    admin: (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>),
}

const GROUPS: [(&str, &[&str]); 2] = [("g", &["ann", "bob"]), ("h", &["bob"])];
const USERS: [&str; 4] = ["", "ann", "bob", "zoe"];
/// No two have one length, so that zot's answer is always the same.
const PATTERNS: [&str; 10] =
    ["*", "**", "a/*", "a/**", "a*/b?", "**/a/b", "{a,b}/c", "a/**/c/*", "a/{b*,c}/*", "{a,b}/{c,b/c}"];
const ACTIONS: [&[&str]; 7] = [
    &[],
    &["read"],
    &["read", "create", "update"],
    &["read", "delete"],
    &["read", "create", "update", "delete"],
    &["create", "update"],
    &["read", "create"],
];

impl Zot {
    /// zot's `can`.
    fn can(&self, user: &str, action: &str, repository: &str) -> bool {
        let matching = self.repositories.iter().filter(|(pattern, _)| doublestar(pattern, repository));
        let longest = matching.max_by_key(|(pattern, _)| pattern.len());
        let in_group =
            |group: &&str| GROUPS.iter().any(|(name, users)| name == group && users.contains(&user));
        let given = |(users, groups, actions): &(Vec<&str>, Vec<&str>, Vec<&str>)| {
            actions.contains(&action) && (users.contains(&user) || groups.iter().any(in_group))
        };
        let permitted = longest.is_some_and(|(_, group)| {
            group.policies.iter().any(given)
                || group.default.contains(&action) && !user.is_empty()
                || group.anonymous.contains(&action) && user.is_empty()
        });
        permitted || given(&self.admin)
    }

    fn config(&self) -> String {
        let policy = |(users, groups, actions): &(Vec<&str>, Vec<&str>, Vec<&str>)| json!({"users": users, "groups": groups, "actions": actions});
        let repositories: BTreeMap<_, _> = self
            .repositories
            .iter()
            .map(|(pattern, group)| {
                let policies: Vec<_> = group.policies.iter().map(policy).collect();
                let group = json!({
                    "policies": policies, "defaultPolicy": group.default, "anonymousPolicy": group.anonymous,
                });
                (*pattern, group)
            })
            .collect();
        let groups: BTreeMap<_, _> =
            GROUPS.iter().map(|(name, users)| (*name, json!({"users": users}))).collect();
        json!({"http": {"accessControl": {
            "groups": groups, "repositories": repositories, "adminPolicy": policy(&self.admin),
        }}})
        .to_string()
    }
}

/// doublestar's `Match`, for patterns without classes and escapes: `a/**` matches `a`, too.
fn doublestar(pattern: &str, name: &str) -> bool {
    if let Some((before, rest)) = pattern.split_once('{') {
        let (inner, after) = rest.split_once('}').unwrap();
        return inner.split(',').any(|branch| doublestar(&format!("{before}{branch}{after}"), name));
    }
    let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), name.split('/').collect());
    components(&pattern, &name)
}

fn components(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], name) => (0..=name.len()).any(|taken| components(rest, &name[taken..])),
        ([one, pattern @ ..], [other, name @ ..]) => {
            letters(one.as_bytes(), other.as_bytes()) && components(pattern, name)
        }
        _ => false,
    }
}

fn letters(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], text) => (0..=text.len()).any(|taken| letters(rest, &text[taken..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => letters(pattern, text),
        ([one, pattern @ ..], [other, text @ ..]) => one == other && letters(pattern, text),
        _ => false,
    }
}

fn actions() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(&ACTIONS[..]).prop_map(<[&str]>::to_vec)
}

fn policy() -> impl Strategy<Value = (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>)> {
    let users = prop::sample::subsequence(vec!["ann", "bob", "zoe"], 0..=2);
    let groups = prop::sample::subsequence(vec!["g", "h"], 0..=2);
    (users, groups, actions())
}

fn zot() -> impl Strategy<Value = Zot> {
    let group = (prop::collection::vec(policy(), 0..3), actions(), actions())
        .prop_map(|(policies, default, anonymous)| Group { policies, default, anonymous });
    let repositories = prop::collection::btree_map(prop::sample::select(&PATTERNS[..]), group, 0..5);
    (repositories, policy()).prop_map(|(repositories, admin)| Zot { repositories, admin })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_import_allows_what_zot_allows(
        zot in zot(),
        names in prop::collection::vec("((a|b|ab|c)/){0,3}(a|b|bc|c)", 12),
    ) {
        let import = import(&zot.config()).unwrap();
        let policy = imported(&import);
        for (name, who) in names.iter().flat_map(|name| USERS.map(|who| (name, who))) {
            let identity = if who.is_empty() { Identity::Anonymous } else { user(who) };
            let given = policy.actions(&identity, &name.parse().unwrap());
            // A login takes nothing away here; where it does so in zot, that is noted. Neither side lends the other an action.
            let can = |actions: &[&str]| {
                ["", who].iter().any(|who| actions.iter().all(|action| zot.can(who, action, name)))
            };
            for (action, allowed) in [
                (Action::Pull, can(&["read"])),
                (Action::Push, can(&["read", "create", "update"])),
                (Action::Delete, can(&["read", "delete"])),
            ] {
                let context = || format!("{who} {action} {name}\n{import:#?}\n{zot:#?}");
                prop_assert!(allowed || !given.contains(&action), "more than zot: {}", context());
                if import.left_out.is_empty() {
                    prop_assert_eq!(given.contains(&action), allowed, "less than zot: {}", context());
                }
            }
            if zot.can(who, "read", name) != can(&["read"]) {
                prop_assert!(!import.wider.is_empty());
            }
        }
    }
}
