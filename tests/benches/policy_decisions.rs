//! Measures decisions by rules: `cargo run --release --example policy-decisions`.
//!
//! Prints the time of one decision, in microseconds, for several kinds of rules; 1,000 names are asked for in turn.

#![allow(clippy::print_stdout, reason = "a program for developers, whose output is its purpose")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use sampan::auth::policy::Policy;
use sampan::auth::{Access, Identity};
use sampan::config::parse_policy;

const RULES: usize = 1000;
const ROUNDS: usize = 50;

fn main() {
    println!("{RULES} rules, microseconds");
    println!("{:<34} {:>9} {:>9} {:>9}", "patterns", "compile", "allowed", "denied");
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
    let policy = Policy::new(rules).unwrap_or_else(|error| panic!("{error}"));
    let compile = begun.elapsed();
    let accesses = |name: &dyn Fn(usize) -> String| -> Vec<Access> {
        (0..RULES).map(|n| Access::push(name(n).parse().unwrap_or_else(|error| panic!("{error}")))).collect()
    };
    let allowed = accesses(&name);
    let denied = accesses(&|n| format!("other/{n}/{}", "a".repeat(n % 200 + 1)));
    let alice = Identity::User("alice".to_owned());
    let per_decision = |accesses: &[Access], expected: bool| {
        let round = || accesses.iter().filter(|access| policy.allows(black_box(&alice), access)).count();
        // The first round fills caches.
        assert_eq!(round(), if expected { RULES } else { 0 });
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(round());
        }
        begun.elapsed().as_secs_f64() * 1e6 / (ROUNDS * RULES) as f64
    };
    let (allowed, denied) = (per_decision(&allowed, true), per_decision(&denied, false));
    println!("{patterns:<34} {:>9} {allowed:>9.2} {denied:>9.2}", compile.as_micros());
}
