//! Stores for exports and imports, which may be in use by a registry meanwhile.

use sampan_engine::Registry;

use super::{AppError, engine, store};
use crate::drivers::Drivers;
use crate::telemetry::logging;
use sampan_config::{Config, LogConfig, LogLevel};

/// Opens the store of `config` to read from it. Unless the configuration is read-only, what is read gets leases.
///
/// # Errors
///
/// If there is no store, or it cannot be opened.
pub async fn export_store(config: &Config, drivers: &Drivers) -> Result<Registry, AppError> {
    be_quiet(config);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    let driver = drivers.build(&config.storage.driver, store::access(config)).await?;
    Ok(engine::registry(config, driver, None))
}

/// Opens the store of `config` to write to it; an empty directory becomes a store.
///
/// # Errors
///
/// If the configuration is read-only, or the store cannot be opened.
pub async fn import_store(config: &Config, drivers: &Drivers) -> Result<Registry, AppError> {
    be_quiet(config);
    if config.storage.maintenance.readonly.enabled {
        return Err(AppError::ReadOnly);
    }
    let access = store::access(config);
    let driver = drivers.build(&config.storage.driver, access).await?;
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::examine(&directory, access)?;
    }
    Ok(engine::registry(config, driver, None))
}

/// Logs warnings only: the command prints the rest.
fn be_quiet(config: &Config) {
    logging::install(&LogConfig { level: LogLevel::Warn, ..config.log.clone() }, None);
}
