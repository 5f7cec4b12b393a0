//! Thousands of interleavings of clients and collectors over stores in memory, and the proof that the model bites.
//!
//! `SAMPAN_MODEL_SEEDS` sets how many, or, as `from..to`, which.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use sampan_conformance::gc::model::{Sabotage, Scenario, play};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;

/// How many seeds a broken rule has to be noticed within.
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
fn every_broken_rule_is_noticed() {
    for trial in noticed(Sabotage::ALL.to_vec(), SEEDS_TO_NOTICE) {
        let (sabotage, seed) = trial.unwrap();
        println!("{sabotage:?} is noticed by seed {seed:?}");
        assert!(seed.is_some(), "{sabotage:?} is not noticed");
    }
}

/// The first of so many seeds that notices each, looked for side by side: each takes seconds to minutes.
fn noticed(sabotages: Vec<Sabotage>, seeds: u64) -> Vec<thread::Result<(Sabotage, Option<u64>)>> {
    let notices = |sabotage: Sabotage, seed: u64| {
        let scenario = match sabotage {
            // Where collections are configured, tokens are young anyway.
            Sabotage::CollectorIsNotNoticed => Scenario::ALL[2],
            Sabotage::DeletionsIgnoreTheDeadline
            | Sabotage::ClientsDoNotSeeRemovals
            | Sabotage::RunsShareFiles => Scenario::ALL[5],
            Sabotage::CollectorDoesNotNoticeItsSilence
            | Sabotage::DeletionsUnderWayAreDone
            | Sabotage::ClientsForgetDeadRuns => Scenario::ALL[3],
            _ => Scenario::ALL[0],
        };
        play(&store(), seed, scenario, sabotage).is_err()
    };
    thread::scope(|scope| {
        let notice = |sabotage| (sabotage, (0..seeds).find(|seed| notices(sabotage, *seed)));
        let trials: Vec<_> = sabotages.into_iter().map(|one| scope.spawn(move || notice(one))).collect();
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
