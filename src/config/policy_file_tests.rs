//! Tests of the policy file: what it holds, and the message of each mistake.

use std::fs;

use super::*;
use crate::{Permission, ValueOrigin, Who};

const RULES: &str = "\
groups:
  dev: [alice, bob]
  ops: carol
rules:
  - {who: anonymous, may: pull, on: ['public/**', 'library/*']}
  - {who: users,     may: pull, on: '**', except: ['secret/**']}
  - who: group:dev
    may: push
    on: team/**
  - {who: users,     may: [push, delete], on: 'home/${user}/**'}
  - {who: [group:ops, 'user:d:e'], may: '*', on: '**'}
";

fn messages(text: &str) -> Vec<String> {
    match parse_policy("access.yml", text) {
        Ok(loaded) => panic!("accepted: {loaded:?}"),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn rules_and_groups_are_read_with_their_lines() {
    let LoadedPolicy { rules, warnings, .. } = parse_policy("/etc/access.yml", RULES).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(rules.groups.get("dev").unwrap().members, ["alice", "bob"]);
    assert_eq!(rules.groups.get("ops").unwrap().members, ["carol"]);
    assert_eq!(rules.groups.get("dev").unwrap().origin.note(), "access.yml:2");
    assert_eq!(rules.rules.len(), 5);
    assert_eq!(rules.rules[2].origin.note(), "access.yml:7");
    assert_eq!(rules.rules[2].to_string(), "{who: group:dev, may: push, on: team/**}");
    assert_eq!(*rules.rules[4].who, [Who::Group("ops".to_owned()), Who::User("d:e".to_owned())]);
    assert_eq!(*rules.rules[3].may, [Permission::Push, Permission::Delete]);
}

#[test]
fn the_printed_rules_are_read_again() {
    let LoadedPolicy { mut rules, .. } = parse_policy("a", RULES).unwrap();
    let printed = rules.to_policy_file();
    let LoadedPolicy { rules: mut again, .. } = parse_policy("a", &printed).unwrap();
    for rules in [&mut rules, &mut again] {
        rules.rules.iter_mut().for_each(|rule| rule.origin = ValueOrigin::default());
    }
    assert_eq!(rules.rules, again.rules, "{printed}");
    assert_eq!(again.groups.get("dev").unwrap().members, ["alice", "bob"]);
}

#[test]
fn each_mistake_is_named_with_its_line_and_remedy() {
    let rule = |rule: &str| format!("groups: {{dev: [a]}}\nrules:\n  - {rule}\n");
    for (text, expected) in [
        (String::new(), "access.yml:1:1: has no `rules`"),
        ("rules:\n".to_owned(), "has no `rules`"),
        ("access:\n  rules: []\n".to_owned(), "access.yml:1:1: access: a policy file has the keys"),
        ("rules: []\nrule: []\n".to_owned(), "access.yml:2:1: rule: unknown key; did you mean `rules`?"),
        ("rules: 5\n".to_owned(), "access.yml:1:8: rules: expected a list, found a single value"),
        ("rules: [5]\n".to_owned(), "rules[0]: expected a section of keys, found a single value"),
        ("rules: []\n---\nrules: []\n".to_owned(), "access.yml:2:1: a second document begins here"),
        (rule("{may: pull, on: a}"), "access.yml:3:5: rules[0]: the key `who` is missing"),
        (rule("{who: users, on: a}"), "rules[0]: the key `may` is missing"),
        (rule("{who: users, may: pull}"), "rules[0]: the key `on` is missing"),
        (rule("{who: [], may: pull, on: a}"), "access.yml:3:11: rules[0].who: is an empty list"),
        (
            rule("{who: users, may: pul, on: a}"),
            "access.yml:3:23: rules[0].may[0]: expected one of pull, push",
        ),
        (rule("{who: users, mai: pull, on: a}"), "rules[0].mai: unknown key; did you mean `may`?"),
        (rule("{who: user, may: pull, on: a}"), "rules[0].who[0]: `user` is unknown; did you mean `users`?"),
        (rule("{who: anonymos, may: pull, on: a}"), "did you mean `anonymous`?"),
        (rule("{who: alice, may: pull, on: a}"), "a user is `user:alice`, a group `group:alice`"),
        (rule("{who: goup:dev, may: pull, on: a}"), "did you mean `group:dev`?"),
        (rule("{who: 'robot:ci', may: pull, on: a}"), "`robot:ci` is unknown; known here: anonymous"),
        (rule("{who: 'user:*', may: pull, on: a}"), "a rule for every user that logged in has `who: users`"),
        (rule("{who: 'user:', may: pull, on: a}"), "the name of a user is missing"),
        (
            rule("{who: group:dv, may: pull, on: a}"),
            "access.yml:3:11: rules[0].who[0]: there is no group `dv`; did you mean `dev`?",
        ),
        (rule("{who: users, may: pull, on: ''}"), "is empty"),
        (
            rule("{who: users, may: pull, on: [a, /b]}"),
            "access.yml:3:37: rules[0].on[1]: `/b`: repository names begin with no slash",
        ),
        (
            rule("{who: users, may: pull, on: a, except: 'Secret/**'}"),
            "rules[0].except[0]: `Secret/**`: repository names are in lower case",
        ),
        (
            "groups: {dev: [a, 'group:ops']}\nrules: []\n".to_owned(),
            "access.yml:1:19: groups.dev[1]: a group cannot contain a group",
        ),
        ("groups: {dev: ['user:a']}\nrules: []\n".to_owned(), "write `a`"),
        ("groups: {dev: }\nrules: []\n".to_owned(), "groups.dev: has no members"),
        ("groups: {dev: {a: b}}\nrules: []\n".to_owned(), "groups.dev: expected a list, found a map"),
        ("groups: {dev: [null]}\nrules: []\n".to_owned(), "groups.dev[0]: "),
        ("groups: {dev: ['*']}\nrules: []\n".to_owned(), "would be a user of that name"),
        (
            "groups: {dev: [a]}\ngroups: {dev: [b]}\nrules: []\n".to_owned(),
            "groups: appears twice, first in line 1",
        ),
        ("rules:\n  - who：users\n".to_owned(), "`who` has a full-width colon"),
        ("rules: [\n".to_owned(), "this is not valid YAML"),
    ] {
        let found = messages(&text);
        assert!(found.iter().any(|message| message.contains(expected)), "{text}\n{found:#?}");
    }
}

#[test]
fn oddities_are_warnings() {
    for (text, expected) in [
        ("rules: []\n", "access.yml:1:8: rules: there is no rule, so no client may do anything"),
        (
            "rules:\n  - {who: users, may: pull, on: a}\n  - {on: [a], may: [pull], who: [users]}\n",
            "access.yml:3:5: rules[1]: is the same rule as in access.yml:2; remove one",
        ),
        (
            "rules:\n  - {who: everyone, may: pull, on: 'home/${user}'}\n",
            "access.yml:2:36: rules[0].on: gives nothing to clients without a login",
        ),
    ] {
        let loaded = parse_policy("access.yml", text).unwrap();
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{warnings:#?}");
    }
}

#[test]
fn a_file_that_is_none_is_refused_and_named() {
    let directory = std::env::temp_dir().join(format!("sampan-policy-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("access.yml");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        load_policy_file(&path).unwrap_err().to_string()
    };
    assert!(refused(&vec![b'#'; (1 << 20) + 1]).contains("longer than 1 MiB"));
    assert!(refused(b"rules: []\n\xff\n").contains("access.yml:2: the policy file is not UTF-8"));
    assert!(refused(b"").contains("has no `rules`"));
    let many = format!("rules: [{}]", "a, ".repeat(50));
    assert!(refused(many.as_bytes()).ends_with("and 30 more"));
    assert!(load_policy_file(&directory).unwrap_err().to_string().contains("is a directory"));
    fs::write(&path, RULES).unwrap();
    assert_eq!(load_policy_file(&path).unwrap().rules.rules.len(), 5);
    fs::remove_dir_all(&directory).unwrap();
    assert!(matches!(load_policy_file(&path), Err(PolicyFileError::Unreadable { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(groups: |rules:|\n  - |who: |may: |on: |except: |pull|users|group:dev|dev: |'|\\*|\\{|\\}|\\[|\\]|, |a/|\\$\\{user\\}|\n|  ){0,24}") {
        if let Ok(loaded) = parse_policy("a", &text) {
            let printed = loaded.rules.to_policy_file();
            let again = parse_policy("a", &printed).unwrap_or_else(|mistakes| panic!("{printed}\n{mistakes:?}"));
            proptest::prop_assert_eq!(again.rules.to_policy_file(), printed);
        }
    }
}
