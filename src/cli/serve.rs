//! `registry serve`.

use std::path::PathBuf;
use std::time::Duration;

use super::{Outcome, check};
use crate::app;
use crate::config::Environment;
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, config: Option<PathBuf>) -> Outcome {
    let loaded = check::load(drivers, config)?;
    let environment = Environment::of_process();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(app::serve(loaded, environment, drivers));
    runtime.shutdown_timeout(LAST_THREADS);
    Ok(served?)
}

/// How long threads may go on that nobody waits for any more: one that a hung disk holds would hold the process.
const LAST_THREADS: Duration = Duration::from_secs(1);
