//! `registry config`: looking at a configuration without serving it.

use std::path::PathBuf;

use super::Outcome;
use super::args::ConfigCommand;
use super::terminal::{say, warn};
use crate::app;
use crate::config::{ConfigError, Environment, Finding, Loaded, Source, show};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check { config } => check(drivers, config),
        ConfigCommand::Show { config } => {
            let loaded = load(drivers, config)?;
            print_warnings(&loaded.warnings);
            say(show(&loaded).trim_end());
            Ok(())
        }
    }
}

fn check(drivers: &Drivers, config: Option<PathBuf>) -> Outcome {
    let loaded = load(drivers, config)?;
    print_warnings(&loaded.warnings);
    print_warnings(&app::check(&loaded)?);
    say(format!("{} would be served", loaded.source));
    Ok(())
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
