//! Properties that must hold for all rules, tried with random ones.

use std::fmt::Write;

use proptest::prelude::*;
use sampan_config::{RepositoryPattern, parse_policy};

use super::super::{Action, Identity};
use super::glob::{compile, compile_all};
use super::name_pattern::NamePattern;
use super::tests::{access, policy, user};
use super::*;

const WHO: &str =
    "everyone|anonymous|users|user:ann|user:a\\.b|user:Ann|group:g|group:h|\\[user:ann, group:h\\]";
const MAY: &str = "pull|push|delete|'\\*'|\\[push, delete\\]";
const PATTERN: &str = "'((a|b|ann|\\*|a\\*|\\?|\\*\\*|\\$\\{user\\}|x-\\$\\{user\\}|\\{a,b\\}|\\*\\.b)/){0,2}(a|b|ann|a\\.b|\\*|\\*b|\\*\\.b|\\*\\*|\\$\\{user\\}|\\{a,\\*\\*\\})'";
const ACTIONS: [Action; 4] = [Action::Pull, Action::Push, Action::Delete, Action::All];

fn rule() -> impl Strategy<Value = String> {
    (WHO, MAY, PATTERN, proptest::option::of(PATTERN)).prop_map(|(who, may, on, except)| {
        let mut text = format!("  - {{who: {who}, may: {may}, on: {on}");
        if let Some(except) = except {
            write!(text, ", except: {except}").unwrap();
        }
        text + "}\n"
    })
}

fn text(rules: &[String]) -> String {
    let head = "groups: {g: [ann, bob], h: [a.b]}\n";
    match rules {
        [] => format!("{head}rules: []\n"),
        rules => format!("{head}rules:\n{}", rules.concat()),
    }
}

fn identities() -> Vec<Identity> {
    let mut identities = vec![Identity::Anonymous];
    identities.extend(["ann", "bob", "a.b", "Ann", "a/b", "*", "x"].map(user));
    identities
}

const NAME: &str = "((a|b|ann|ab|x-ann|x-a\\.b|a\\.b)/){0,3}(a|b|ann|ab|bob|a\\.b)";

proptest! {
    #[test]
    fn another_rule_takes_nothing_away(rules in prop::collection::vec(rule(), 1..6), names in prop::collection::vec(NAME, 8)) {
        let (fewer, more) = (policy(&text(&rules[1..])), policy(&text(&rules)));
        for (name, identity) in names.iter().flat_map(|name| identities().into_iter().map(move |who| (name, who))) {
            for action in ACTIONS {
                let access = access(name, action);
                prop_assert!(
                    !fewer.allows(&identity, &access) || more.allows(&identity, &access),
                    "{identity:?} {access}\n{}", rules.concat()
                );
            }
            prop_assert!(!fewer.sees_everything(&identity) || more.sees_everything(&identity));
        }
    }

    #[test]
    fn a_login_takes_nothing_away(rules in prop::collection::vec(rule(), 0..6), names in prop::collection::vec(NAME, 8)) {
        let policy = policy(&text(&rules));
        for name in &names {
            for action in ACTIONS {
                let access = access(name, action);
                if policy.allows(&Identity::Anonymous, &access) {
                    prop_assert!(policy.allows(&user("zoe"), &access), "{access}\n{}", rules.concat());
                }
            }
        }
    }

    #[test]
    fn who_sees_everything_may_pull_everything(rules in prop::collection::vec(rule(), 0..6), name in NAME) {
        let policy = policy(&text(&rules));
        for identity in identities().iter().filter(|identity| policy.sees_everything(identity)) {
            prop_assert!(policy.allows(identity, &access(&name, Action::Pull)));
        }
    }

    #[test]
    fn a_rule_that_another_contains_gives_nothing(rules in prop::collection::vec(rule(), 2..5), names in prop::collection::vec(NAME, 8)) {
        let source = parse_policy("p", &text(&rules)).unwrap().rules;
        for remark in check(&source, None).iter().filter(|remark| remark.message.contains("gives nothing that")) {
            let mut without = source.clone();
            without.rules.retain(|rule| *rule.origin != remark.origin);
            let (with, without) = (Policy::new(source.clone()).unwrap(), Policy::new(without).unwrap());
            for (name, identity) in names.iter().flat_map(|name| identities().into_iter().map(move |who| (name, who))) {
                let name = name.parse().unwrap();
                prop_assert_eq!(with.actions(&identity, &name), without.actions(&identity, &name), "{}\n{}", remark, rules.concat());
            }
        }
    }

    #[test]
    fn patterns_match_alike_alone_and_together_and_as_defined(pattern in PATTERN, name in NAME) {
        let pattern: RepositoryPattern = pattern.trim_matches('\'').parse().unwrap();
        let globs: Vec<String> = pattern.globs("ann").collect();
        let together = compile_all(globs.clone()).unwrap().is_match(&name);
        let alone = globs.iter().any(|glob| compile(glob).unwrap().compile_matcher().is_match(&name));
        let components: Vec<&str> = name.split('/').collect();
        let defined = globs.iter().any(|glob| matches(&glob.split('/').collect::<Vec<_>>(), &components));
        let uncompiled = NamePattern::alternatives(&pattern).any(|pattern| pattern.is_match(&name, "ann"));
        prop_assert_eq!((together, alone, uncompiled), (defined, defined, defined), "{} {:?}", pattern, name);
    }
}

proptest! {
    // It compiles every pattern for every question.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn explanations_and_decisions_agree(rules in prop::collection::vec(rule(), 0..6), names in prop::collection::vec(NAME, 2)) {
        let policy = policy(&text(&rules));
        for (name, identity) in names.iter().flat_map(|name| identities().into_iter().map(move |who| (name, who))) {
            for action in ACTIONS {
                let access = access(name, action);
                let explanation = policy.explain(&identity, &access);
                prop_assert_eq!(explanation.allowed, policy.allows(&identity, &access), "{}\n{}", explanation, rules.concat());
                prop_assert_eq!(explanation.allowed, !explanation.because.is_empty());
            }
        }
    }
}

/// The definition: `**` is any number of components, but at the end at least one.
fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**"], name) => !name.is_empty(),
        (["**", rest @ ..], name) => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
        ([component, pattern @ ..], [part, name @ ..]) => {
            matches_component(component.as_bytes(), part.as_bytes()) && matches(pattern, name)
        }
        _ => false,
    }
}

fn matches_component(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], text) => (0..=text.len()).any(|taken| matches_component(rest, &text[taken..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => matches_component(pattern, text),
        ([one, pattern @ ..], [other, text @ ..]) => one == other && matches_component(pattern, text),
        _ => false,
    }
}
