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
    let notices = |sabotage: Sabotage, seed: u64| {
        let scenario = match sabotage {
            // Where collections are configured, tokens are young anyway.
            Sabotage::CollectorIsNotNoticed => Scenario::ALL[2],
            Sabotage::CollectorDoesNotNoticeItsSilence
            | Sabotage::DeletionsIgnoreTheDeadline
            | Sabotage::DeletionsUnderWayAreDone
            | Sabotage::ClientsForgetDeadRuns => Scenario::ALL[3],
            _ => Scenario::ALL[0],
        };
        play(&store(), seed, scenario, sabotage).is_err()
    };
    // Each takes seconds to minutes.
    let noticed = thread::scope(|scope| {
        let notice = |sabotage| (sabotage, (0..SEEDS_TO_NOTICE).find(|seed| notices(sabotage, *seed)));
        let trials = Sabotage::ALL.map(|sabotage| scope.spawn(move || notice(sabotage)));
        trials.map(|trial| trial.join().unwrap())
    });
    for (sabotage, seed) in noticed {
        println!("{sabotage:?} is noticed by seed {seed:?}");
        assert!(seed.is_some(), "{sabotage:?} is not noticed");
    }
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
