//! The conformance suite has teeth: every lie of a driver is found out, and every clause finds one out.

mod redirecting;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use sampan_conformance::sabotage::{Lie, Sabotaged};
use sampan_conformance::{Fixture, clauses, run_clause};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;

use redirecting::Redirecting;

fn main() -> ExitCode {
    let mut trials = vec![Trial::test(
        "every_clause_but_of_the_collector_finds_out_some_lie",
        every_clause_but_of_the_collector_finds_out_some_lie,
    )];
    for lie in Lie::all() {
        for clause in lie.bites() {
            let name = format!("{lie:?} is found out by {clause}");
            trials.push(Trial::test(name, move || is_found_out(lie, &clause)));
        }
    }
    for clause in driver_clauses() {
        let trial =
            move || Ok(run_clause(&liar(Lie::None, clause), clause).map_err(|failed| failed.to_string())?);
        trials.push(Trial::test(format!("the truth passes {clause}"), trial));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn is_found_out(lie: Lie, clause: &str) -> Result<(), Failed> {
    match run_clause(&liar(lie, clause), clause) {
        Err(_) => Ok(()),
        Ok(()) => Err(format!("{clause} holds for a driver that tells the lie {lie:?}").into()),
    }
}

fn every_clause_but_of_the_collector_finds_out_some_lie() -> Result<(), Failed> {
    let biting: BTreeSet<String> = Lie::all().flat_map(Lie::bites).collect();
    // What the collector's clauses find out are mistakes of the collector; a lying driver is not their business.
    let clauses = clauses().map(|clause| clause.name).filter(|name| !name.starts_with("gc::"));
    let toothless: Vec<&str> = clauses.filter(|clause| !biting.contains(*clause)).collect();
    if toothless.is_empty() {
        return Ok(());
    }
    Err(format!("no lie is named for these clauses, so nothing shows that they can fail: {toothless:?}")
        .into())
}

fn driver_clauses() -> impl Iterator<Item = &'static str> {
    clauses().map(|clause| clause.name).filter(|name| name.starts_with("driver::"))
}

fn liar(lie: Lie, clause: &str) -> Fixture {
    let redirects = clause == "driver::redirect::leads_to_the_file";
    let make = move || -> Arc<dyn StorageDriver> {
        let driver = Arc::new(InMemoryDriver::new());
        if redirects { Arc::new(Redirecting::new(driver)) } else { driver }
    };
    Fixture::shared(make).decorated(move |driver| Arc::new(Sabotaged::new(driver, lie)))
}
