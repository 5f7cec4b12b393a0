//! `registry config`: looking at a configuration without serving it.

use std::path::PathBuf;

use super::Outcome;
use super::args::{ConfigCommand, OtherRegistry};
use super::terminal::{say, warn};
use crate::app::{self, Files};
use crate::config::{
    ConfigError, Environment, Finding, ForDistribution, Loaded, Source, for_distribution, show,
};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check { for_registry, without_files, config } => {
            let files = if without_files { Files::LeaveAlone } else { Files::Open };
            check(drivers, config, files, for_registry)
        }
        ConfigCommand::Show { config } => {
            let loaded = load(drivers, config)?;
            print_warnings(&loaded.warnings);
            say(show(&loaded).trim_end());
            Ok(())
        }
    }
}

fn check(drivers: &Drivers, config: Option<PathBuf>, files: Files, other: Option<OtherRegistry>) -> Outcome {
    let loaded = load(drivers, config)?;
    print_warnings(&loaded.warnings);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    print_warnings(&runtime.block_on(app::check(&loaded, drivers, files))?);
    say(format!("{} would be served", loaded.source));
    match other {
        None => Ok(()),
        Some(OtherRegistry::Distribution) => check_for_distribution(&loaded),
    }
}

fn check_for_distribution(loaded: &Loaded) -> Outcome {
    let ForDistribution { refused, ignored } = for_distribution(loaded);
    for finding in &ignored {
        say(finding.to_string());
    }
    if refused.is_empty() {
        say("Distribution would start with it");
        return Ok(());
    }
    let lines: String = refused.iter().map(|finding| format!("\n  {finding}")).collect();
    Err(format!("Distribution would not serve it as it is served here:{lines}").into())
}

/// Loads a configuration, or prints what is odd about one that cannot be loaded: it may be the cause.
pub(super) fn load(drivers: &Drivers, config: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    let environment = Environment::of_process();
    let loaded = drivers.load(Source::find(config, &environment), &environment);
    if let Err(error) = &loaded {
        print_warnings(error.warnings());
    }
    loaded
}

pub(super) fn print_warnings(warnings: &[Finding]) {
    for warning in warnings {
        warn(format!("warning: {warning}"));
    }
}
