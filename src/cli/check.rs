//! `registry config`: looking at a configuration without serving it.

use std::path::PathBuf;

use super::Outcome;
use super::args::ConfigCommand;
use super::terminal::{say, warn};
use crate::app;
use crate::config::{Config, Environment, Finding, Loaded, Source, show};
use crate::drivers::Drivers;

pub(super) fn run(drivers: &Drivers, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check { config } => check(drivers, config),
        ConfigCommand::Show { config } => {
            let loaded = load(config)?;
            print_warnings(&loaded.warnings);
            say(show(&loaded).trim_end());
            Ok(())
        }
    }
}

fn check(drivers: &Drivers, config: Option<PathBuf>) -> Outcome {
    let loaded = load(config)?;
    print_warnings(&loaded.warnings);
    drivers.check(&loaded.config.storage.driver)?;
    print_warnings(&app::check(&loaded)?);
    say(format!("{} would be served", loaded.source));
    Ok(())
}

fn load(config: Option<PathBuf>) -> Result<Loaded, crate::config::ConfigError> {
    let environment = Environment::of_process();
    Config::load(Source::find(config, &environment), &environment)
}

fn print_warnings(warnings: &[Finding]) {
    for warning in warnings {
        warn(format!("warning: {warning}"));
    }
}
