//! `registry serve`.

use std::path::PathBuf;

use super::Outcome;
use crate::app;
use crate::config::{Config, Environment, Source};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, config: Option<PathBuf>) -> Outcome {
    let environment = Environment::of_process();
    let loaded = Config::load(Source::find(config, &environment), &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(app::serve(loaded, environment, drivers))?)
}
