//! The conformance suite on a store in memory; `servers.rs` runs it on servers.

#[path = "support/parts_checked.rs"]
mod parts_checked;
mod support;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use sampan_conformance::{Fixture, run_trials};
use sampan_driver::{BuildError, DriverConfig, StorageDriver};
use sampan_driver_object_store::ObjectStoreDriver;
use serde::Deserialize;

use parts_checked::PartsChecked;
use support::of_profile;

fn main() -> ExitCode {
    // Parts of the usual size, and parts so small that uploads have many; the collector writes nothing that has parts.
    let mut trials = of_profile("memory", &memory(10 << 20));
    let small_parts = of_profile("memory-small-parts", &memory(256 << 10));
    trials.extend(small_parts.into_iter().filter(|trial| !trial.name().starts_with("gc::")));
    run_trials(trials)
}

/// A store in the memory of this process. Reopening makes another driver over it, which knows nothing of the first.
fn memory(part_size: u64) -> Fixture {
    Fixture::in_prefix(move |prefix| Memory { root: prefix.to_owned(), part_size }).in_this_process()
}

#[derive(Deserialize)]
struct Memory {
    root: String,
    part_size: u64,
}

#[async_trait]
impl DriverConfig for Memory {
    const NAME: &'static str = "memory";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        static STORE: LazyLock<Arc<PartsChecked>> = LazyLock::new(Default::default);
        Ok(Arc::new(ObjectStoreDriver::over(STORE.clone(), &self.root, self.part_size)?))
    }
}
