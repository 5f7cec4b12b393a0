//! `registry config`: examines a configuration without serving it.

use std::error::Error;
use std::path::PathBuf;

use sampan_config::{
    ConfigError, Diagnostic, Environment, ForDistribution, Loaded, Source, for_distribution, show,
};

use super::CommandResult;
use super::args::{ConfigCommand, OtherRegistry};
use super::terminal::{say, warn};
use crate::app::{self, Files};
use crate::drivers::Drivers;
use sampan_driver::with_causes;

pub(super) fn run(drivers: &Drivers, command: ConfigCommand) -> CommandResult {
    match command {
        ConfigCommand::Check { for_registry, without_files, config } => {
            let files = if without_files { Files::LeaveAlone } else { Files::Open };
            check(drivers, config.path(), files, for_registry)
        }
        ConfigCommand::Show { config } => {
            let loaded = find(drivers, config.path())?;
            print_warnings(&loaded.warnings);
            say(show(&loaded).trim_end());
            Ok(())
        }
    }
}

fn check(
    drivers: &Drivers,
    config: Option<PathBuf>,
    files: Files,
    other: Option<OtherRegistry>,
) -> CommandResult {
    let loaded = find(drivers, config)?;
    print_warnings(&loaded.warnings);
    let runtime = super::runtime::start()?;
    print_warnings(&runtime.block_on(app::check(&loaded, drivers, files))?);
    say(format!("{} can be served", loaded.source));
    match other {
        None => Ok(()),
        Some(OtherRegistry::Distribution) => check_for_distribution(&loaded),
    }
}

fn check_for_distribution(loaded: &Loaded) -> CommandResult {
    let ForDistribution { refused, ignored } = for_distribution(loaded);
    for diagnostic in &ignored {
        say(diagnostic.to_string());
    }
    if refused.is_empty() {
        say("Distribution would start with it");
        return Ok(());
    }
    let lines: String = refused.iter().map(|diagnostic| format!("\n  {diagnostic}")).collect();
    Err(format!("Distribution would not serve it like this registry:{lines}").into())
}

/// Loads a configuration, or prints the oddities of one that does not load: they may be the cause.
pub(super) fn load(
    drivers: &Drivers,
    source: Source,
    environment: &Environment,
) -> Result<Loaded, ConfigError> {
    let loaded = drivers.load(source, environment);
    if let Err(error) = &loaded {
        print_warnings(error.warnings());
    }
    loaded
}

/// Loads the configuration of a command: the given one, else the one that `serve` would use.
pub(super) fn find(drivers: &Drivers, config: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    let environment = Environment::of_process();
    load(drivers, Source::find(config, &environment), &environment)
}

/// Adds the configuration in use to an error, if the command line does not name it.
pub(super) fn beside(source: &Source, error: Box<dyn Error>) -> Box<dyn Error> {
    match source {
        Source::Standard(_) | Source::Variable(_) => {
            format!("{}\nThe configuration is {source}.", with_causes(&*error)).into()
        }
        _ => error,
    }
}

pub(super) fn print_warnings(warnings: &[Diagnostic]) {
    for warning in warnings {
        warn(format!("warning: {warning}"));
    }
}
