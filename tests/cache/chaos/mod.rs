//! Chaos: caches with eviction and ordinary repositories in one store, two replicas, and an upstream that fails.
//!
//! A seed chooses the steps: requests at once through either replica, collections by either or both, restarts, failures and
//! changes of the upstream, and the passing of hours. The sockets of the upstream leave some of the order to chance.
//!
//! - A complete answer has the digest that was asked for; no answer is 500.
//! - Every acknowledged push can be pulled whole.
//! - What the upstream gives can be pulled whole while it does not fail, also beside evictions.
//! - After the last collection nothing is left that nothing refers to, and the caches are within their bound.
//!
//! `SAMPAN_CACHE_CHAOS_SEEDS` sets the number of seeds, or, as `from..to`, their range.

mod check;
mod expected_state;
mod pulls;
mod pushes;
mod steps;
mod trouble;

use std::ops::Range;
use std::sync::Arc;

use sampan_driver::{DriverConfig, StorageDriver};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_driver_inmemory::InMemoryDriver;

use steps::Chaos;

/// The bound of the caches, which the images of the upstream exceed.
const MAX_BYTES: u64 = 200_000;

#[tokio::test(start_paused = true)]
async fn pulls_pushes_and_evictions_by_two_replicas_over_a_store_in_memory() {
    for seed in seeds(4) {
        play(seed, Arc::new(InMemoryDriver::new()), 60).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pulls_pushes_and_evictions_by_two_replicas_over_a_filesystem() {
    for seed in seeds(1) {
        let directory = tempfile::tempdir().unwrap();
        let rootdirectory = directory.path().to_owned();
        let config = FilesystemConfig { rootdirectory, ..FilesystemConfig::default() };
        play(seed, config.build().await.unwrap(), 20).await;
    }
}

async fn play(seed: u64, driver: Arc<dyn StorageDriver>, steps: usize) {
    let mut chaos = Chaos::new(seed, driver).await;
    for _ in 0..steps {
        chaos.step().await;
    }
    chaos.end().await;
}

fn seeds(default: u64) -> Range<u64> {
    let Ok(text) = std::env::var("SAMPAN_CACHE_CHAOS_SEEDS") else { return 0..default };
    let number = |text: &str| -> u64 {
        text.parse()
            .unwrap_or_else(|_| panic!("SAMPAN_CACHE_CHAOS_SEEDS is {text:?}: no number and no range"))
    };
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}
