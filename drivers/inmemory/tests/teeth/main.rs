//! Tests of the conformance suite: it detects every lie of a driver, and every clause detects a lie.
//!
//! The clauses about the end of a process need a store that outlives it, and are in
//! `drivers/filesystem/tests/teeth.rs`.

mod redirecting;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use sampan_conformance::sabotage::{Lie, Sabotaged};
use sampan_conformance::{Clause, Context, Fixture, Need, clauses, run_clause, run_trials, run_within};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;

use redirecting::Redirecting;

fn main() -> ExitCode {
    let mut trials = vec![Trial::test(
        "every_clause_but_of_the_collector_finds_out_some_lie",
        every_clause_but_of_the_collector_finds_out_some_lie,
    )];
    trials.push(Trial::test("a_clause_that_hangs_is_named_with_its_last_operation", || hangs(false)));
    trials.push(Trial::test("a_clause_that_never_gives_its_thread_back_is_named_too", || hangs(true)));
    for lie in Lie::all() {
        for clause in lie.bites().filter(|clause| !needs_a_disk(clause)) {
            let name = format!("{lie:?} is detected by {clause}");
            trials.push(Trial::test(name, move || is_found_out(lie, &clause)));
        }
    }
    for clause in driver_clauses() {
        let trial =
            move || Ok(run_clause(&liar(Lie::None, clause), clause).map_err(|failed| failed.to_string())?);
        trials.push(Trial::test(format!("an honest driver passes {clause}"), trial));
    }
    run_trials(trials)
}

fn is_found_out(lie: Lie, clause: &str) -> Result<(), Failed> {
    match run_clause(&liar(lie, clause), clause) {
        Err(failed) => names_its_own_line(clause, &failed.to_string()),
        Ok(()) => Err(format!("{clause} holds for a driver that tells the lie {lie:?}").into()),
    }
}

/// The failure of a clause of the contract names a line of the clause, not of a helper that the clauses share.
fn names_its_own_line(clause: &str, told: &str) -> Result<(), Failed> {
    let Some(topic) = clause.strip_prefix("driver::").and_then(|rest| rest.split("::").next()) else {
        return Ok(());
    };
    match told.rsplit("\n    at ").next() {
        Some(line) if line.contains(&format!("conformance/src/driver/{topic}")) => Ok(()),
        line => Err(format!("{clause} fails at {line:?}").into()),
    }
}

fn hangs(keeps_its_thread: bool) -> Result<(), Failed> {
    let clause = Clause {
        name: "driver::stat::of_this_never_ends",
        need: Need::Nothing,
        run: match keeps_its_thread {
            false => |context| Box::pin(stat_and(context, std::future::pending())),
            true => |context| {
                Box::pin(stat_and(context, async {
                    loop {
                        std::thread::park();
                    }
                }))
            },
        },
    };
    let fixture = Fixture::shared(|| Arc::new(InMemoryDriver::new()));
    match run_within(&fixture, &clause, Duration::from_millis(500)) {
        Ok(()) => Err("it ended".into()),
        Err(failed) => {
            let told = failed.to_string();
            let is_named = told.contains(clause.name) && told.contains("last operation: stat of /the/file");
            if is_named { Ok(()) } else { Err(told.into()) }
        }
    }
}

async fn stat_and(context: Context, end: impl Future<Output = ()>) -> Result<(), sampan_conformance::Failed> {
    let _ = context.driver().stat(&"/the/file".parse()?).await;
    end.await;
    Ok(())
}

fn every_clause_but_of_the_collector_finds_out_some_lie() -> Result<(), Failed> {
    let biting: BTreeSet<String> = Lie::all().flat_map(Lie::bites).collect();
    // The collector's clauses detect mistakes of the collector, not of a driver.
    let clauses = clauses().map(|clause| clause.name).filter(|name| !name.starts_with("gc::"));
    let toothless: Vec<&str> = clauses.filter(|clause| !biting.contains(*clause)).collect();
    if toothless.is_empty() {
        return Ok(());
    }
    Err(format!("these clauses have no lie that shows that they can fail: {toothless:?}").into())
}

fn driver_clauses() -> impl Iterator<Item = &'static str> {
    let names = clauses().map(|clause| clause.name);
    names.filter(|name| name.starts_with("driver::") && !needs_a_disk(name))
}

fn needs_a_disk(clause: &str) -> bool {
    clause.starts_with("driver::durability::")
}

fn liar(lie: Lie, clause: &str) -> Fixture {
    let redirects = clause == "driver::redirect::leads_to_the_file";
    let make = move || -> Arc<dyn StorageDriver> {
        let driver = Arc::new(InMemoryDriver::new());
        if redirects { Arc::new(Redirecting::new(driver)) } else { driver }
    };
    Fixture::shared(make).decorated(move |driver| Arc::new(Sabotaged::new(driver, lie)))
}
