//! Measures decisions by rules: `cargo run --release --example policy-decisions`.
//!
//! Prints the time of one decision, in microseconds, for several kinds of rules; 1,000 names are asked for in turn, and then
//! once more, when the decisions are remembered.

#![allow(clippy::print_stdout, reason = "a program for developers, whose output is its purpose")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use sampan::auth::policy::Policy;
use sampan::auth::{Access, Identity};
use sampan::config::{AccessRules, parse_policy};

const RULES: usize = 1000;
const ROUNDS: usize = 50;

fn main() {
    println!("{RULES} rules, microseconds");
    println!("{:<34} {:>9} {:>9} {:>9} {:>9}", "patterns", "compile", "allowed", "denied", "again");
    measure("team-N/**", |n| format!("team-{n}/**"), |n| format!("team-{n}/app"));
    measure("team-N/app", |n| format!("team-{n}/app"), |n| format!("team-{n}/app"));
    measure(
        "{dev,test}/team-N/**",
        |n| format!("{{dev,test}}/team-{n}/**"),
        |n| format!("test/team-{n}/app"),
    );
    measure("*/team-N-*/**", |n| format!("*/team-{n}-*/**"), |n| format!("dev/team-{n}-x/app"));
    measure("**/app-N", |n| format!("**/app-{n}"), |n| format!("a/b/app-{n}"));
    measure("home-N/${user}/**", |n| format!("home-{n}/${{user}}/**"), |n| format!("home-{n}/alice/app"));
}

fn measure(patterns: &str, pattern: impl Fn(usize) -> String, name: impl Fn(usize) -> String) {
    let mut text = "groups: {dev: [alice, bob]}\nrules:\n".to_owned();
    for n in 0..RULES {
        let _ =
            writeln!(text, "  - {{who: 'group:dev', may: push, on: '{}', except: 'x/{n}/**'}}", pattern(n));
    }
    let rules = parse_policy("rules", &text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).rules;
    let begun = Instant::now();
    drop(compiled(&rules));
    let compile = begun.elapsed();
    let accesses = |name: &dyn Fn(usize) -> String| -> Vec<Access> {
        (0..RULES).map(|n| Access::push(name(n).parse().unwrap_or_else(|error| panic!("{error}")))).collect()
    };
    let allowed = accesses(&name);
    let denied = accesses(&|n| format!("other/{n}/{}", "a".repeat(n % 200 + 1)));
    let alice = Identity::User("alice".to_owned());
    let per_decision = |accesses: &[Access], expected: bool| {
        let (mut first, mut again) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            // Rules that were not asked before remember nothing.
            let policy = compiled(&rules);
            for time in [&mut first, &mut again] {
                let begun = Instant::now();
                let count = accesses.iter().filter(|access| policy.allows(black_box(&alice), access)).count();
                *time += begun.elapsed();
                assert_eq!(count, if expected { RULES } else { 0 });
            }
        }
        [first, again].map(|time| time.as_secs_f64() * 1e6 / (ROUNDS * RULES) as f64)
    };
    let ([allowed, again], [denied, _]) = (per_decision(&allowed, true), per_decision(&denied, false));
    println!("{patterns:<34} {:>9} {allowed:>9.2} {denied:>9.2} {again:>9.2}", compile.as_micros());
}

fn compiled(rules: &AccessRules) -> Policy {
    Policy::new(rules.clone()).unwrap_or_else(|error| panic!("{error}"))
}
