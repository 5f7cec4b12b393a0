//! Tests of the clauses about the end of a process: they detect a driver that acknowledges first and acts
//! later.
//!
//! These clauses start this program again. `drivers/inmemory/tests/teeth` has all other lies.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Trial;
use sampan_conformance::sabotage::{Lie, Sabotaged};
use sampan_conformance::{Fixture, clauses, do_and_die, run_clause, run_trials};
use sampan_driver_filesystem::FilesystemConfig;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for lie in [Lie::None, Lie::ActsLate] {
        let fixture = liar(lie);
        do_and_die(&fixture);
        // Only one process may have such a store open, which is another path through the suite.
        let exclusive = liar(lie).exclusive();
        do_and_die(&exclusive);
        for (how, fixture) in [("", fixture), (", with its store to itself,", exclusive)] {
            for clause in clauses().map(|clause| clause.name).filter(|name| name.starts_with(DURABILITY)) {
                let (name, fixture) = (format!("{lie:?}{how} is detected by {clause}"), fixture.clone());
                trials.push(Trial::test(name, move || match (run_clause(&fixture, clause), lie) {
                    (Ok(()), Lie::None) => Ok(()),
                    (Err(failed), Lie::None) => Err(failed.to_string().into()),
                    (Err(failed), _) if failed.to_string().contains("got the acknowledgement, and died") => {
                        Ok(())
                    }
                    (Err(failed), _) => Err(format!("it failed for another reason: {failed}").into()),
                    (Ok(()), _) => {
                        Err(format!("{clause} holds for a driver that tells the lie {lie:?}").into())
                    }
                }));
            }
        }
    }
    run_trials(trials)
}

fn liar(lie: Lie) -> Fixture {
    Fixture::in_dir(|dir| FilesystemConfig { rootdirectory: dir.to_owned(), ..Default::default() })
        .decorated(move |driver| Arc::new(Sabotaged::new(driver, lie)))
}

const DURABILITY: &str = "driver::durability::";
