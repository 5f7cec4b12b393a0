//! Runs thousands of interleavings of clients and collectors on in-memory stores, and shows that the model
//! detects violations.
//!
//! `SAMPAN_MODEL_SEEDS` sets the number of seeds, or, as `from..to`, their range.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use sampan_conformance::gc::model::{Sabotage, Scenario, play};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;

/// The number of seeds within which a broken rule must be detected.
const SEEDS_TO_NOTICE: u64 = 3000;

#[test]
fn no_promise_is_broken() {
    for scenario in Scenario::ALL {
        let broken: Vec<_> = seeds()
            .filter_map(|seed| Some((seed, play(&store(), seed, scenario, Sabotage::Nothing).err()?)))
            .collect();
        let seeds: Vec<_> = broken.iter().map(|(seed, _)| seed).collect();
        if let Some((_, failed)) = broken.first() {
            panic!("{failed}\n{} seeds fail: {seeds:?}", seeds.len());
        }
    }
}

#[test]
fn every_broken_rule_is_detected() {
    let trials = Sabotage::ALL.into_iter().map(|sabotage| (sabotage, scenario_for(sabotage)));
    all_are_detected(trials.collect());
}

/// Evictions keep the same rules beside pushes into other repositories.
#[test]
fn a_broken_rule_of_an_eviction_is_detected() {
    let sabotages = [Sabotage::CollectorDoesNotLookAgain, Sabotage::CollectorIgnoresLinks];
    all_are_detected(sabotages.map(|sabotage| (sabotage, Scenario::ALL[6])).to_vec());
}

#[expect(clippy::unwrap_used, clippy::print_stdout, reason = "the body of two tests")]
fn all_are_detected(trials: Vec<(Sabotage, Scenario)>) {
    for trial in noticed(trials, SEEDS_TO_NOTICE) {
        let (sabotage, seed) = trial.unwrap();
        println!("{sabotage:?} is detected by seed {seed:?}");
        assert!(seed.is_some(), "{sabotage:?} is not detected");
    }
}

fn scenario_for(sabotage: Sabotage) -> Scenario {
    match sabotage {
        // Where collections are configured, leases are fresh anyway.
        Sabotage::CollectorIsNotNoticed => Scenario::ALL[2],
        Sabotage::DeletionsIgnoreTheDeadline
        | Sabotage::ClientsDoNotSeeRemovals
        | Sabotage::RunsShareFiles => Scenario::ALL[5],
        Sabotage::CollectorDoesNotNoticeItsSilence
        | Sabotage::DeletionsUnderWayAreDone
        | Sabotage::ClientsForgetDeadRuns => Scenario::ALL[3],
        _ => Scenario::ALL[0],
    }
}

/// The first of `seeds` seeds that detects each sabotage. They run in parallel: each takes seconds to
/// minutes.
fn noticed(trials: Vec<(Sabotage, Scenario)>, seeds: u64) -> Vec<thread::Result<(Sabotage, Option<u64>)>> {
    let notices = |(sabotage, scenario), seed| play(&store(), seed, scenario, sabotage).is_err();
    thread::scope(|scope| {
        let notice = |trial: (Sabotage, Scenario)| (trial.0, (0..seeds).find(|seed| notices(trial, *seed)));
        let trials: Vec<_> = trials.into_iter().map(|one| scope.spawn(move || notice(one))).collect();
        trials.into_iter().map(thread::ScopedJoinHandle::join).collect()
    })
}

fn store() -> Arc<dyn StorageDriver> {
    Arc::new(InMemoryDriver::new())
}

fn seeds() -> Range<u64> {
    let text = std::env::var("SAMPAN_MODEL_SEEDS").unwrap_or_else(|_| "100".to_owned());
    let number = |text: &str| {
        text.parse().unwrap_or_else(|_| panic!("SAMPAN_MODEL_SEEDS is {text:?}, but it must be a number"))
    };
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}
