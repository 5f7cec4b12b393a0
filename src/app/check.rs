//! The checks of `config check`: opens what the start opens, without creating or writing anything.

use sampan_config::{Config, Diagnostic, Loaded, LogConfig, LogLevel};

use super::caches::caches_if_configured;
use super::{
    Access, AppError, descriptors, exposure, http_options, middleware, network, notifications, store,
};
use crate::blocking::on_blocking_pool;
use crate::drivers::Drivers;
use crate::telemetry::logging;

/// Opens what [`App::build`](super::App::build) opens, except for its addresses and other servers, and returns warnings about a
/// configuration that is open to strangers. Nothing is created or written; oddities go to the log.
///
/// # Errors
///
/// If the registry would not start: everything that would prevent the start.
pub async fn check(loaded: &Loaded, drivers: &Drivers, files: Files) -> Result<Vec<Diagnostic>, AppError> {
    let config = &loaded.config;
    let quiet = LogConfig { level: LogLevel::Warn, ..config.log.clone() };
    logging::install(&quiet);
    let mut errors = Vec::new();
    let mut note = |checked: Result<(), AppError>| errors.extend(checked.err());
    note(middleware::rules(config).map(drop));
    note(http_options(config).map(drop));
    if files == Files::Open {
        check_files(config, drivers, &mut errors).await;
    }
    match AppError::all(errors) {
        None if files == Files::Open => {
            Ok([exposure::warnings(loaded), exposure::unusable_files(loaded)].concat())
        }
        None => Ok(exposure::warnings(loaded)),
        Some(error) => Err(error),
    }
}

/// Whether a check opens the files that the configuration names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Files {
    /// On the machine that runs the registry.
    Open,
    /// The files are on another machine.
    LeaveAlone,
}

async fn check_files(config: &Config, drivers: &Drivers, errors: &mut Vec<AppError>) {
    let mut note = |checked: Result<(), AppError>| errors.extend(checked.err());
    let (access, selected) = (store::access(config), config.storage.driver.clone());
    let (directory, drivers) = (drivers.local_directory(&selected), drivers.clone());
    note(
        on_blocking_pool(move || {
            drivers.check(&selected, access)?;
            directory.map_or(Ok(()), |directory| store::examine(&directory, access))
        })
        .await,
    );
    note(Access::check(&config.auth).await);
    note(Access::check_rules(config).await);
    note(network::security(&config.http).await.map(drop));
    note(descriptors::check(config).await);
    note(caches_if_configured(config).await.map(drop));
    note(notifications::check(config).await);
}
