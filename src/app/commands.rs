//! Opens a store for a command that does not serve it.

use sampan_config::{Config, LogConfig, LogLevel};
use sampan_driver::StoreAccess;
use sampan_engine::gc;

use super::{AppError, engine, store};
use crate::drivers::Drivers;
use crate::inventory;
use crate::telemetry::logging;

/// Collects the garbage of the store of `config`.
///
/// # Errors
///
/// If the store cannot be opened, or the collection fails; everything needed is still there then.
pub async fn collect(
    config: &Config,
    drivers: &Drivers,
    options: &gc::Options,
) -> Result<gc::Report, AppError> {
    logging::install(&config.log);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    let access = if options.dry_run { StoreAccess::ReadOnly } else { StoreAccess::ReadWrite };
    let driver = drivers.build(&config.storage.driver, access).await?;
    let registry = engine::registry(config, driver, None);
    Ok(gc::collect(&registry, options).await?)
}

/// Opens the store of `config` for an inventory, read-only.
///
/// # Errors
///
/// If there is no store, or it cannot be opened.
pub async fn inventory(config: &Config, drivers: &Drivers) -> Result<inventory::Source, AppError> {
    let quiet = LogConfig { level: LogLevel::Warn, ..config.log.clone() };
    logging::install(&quiet);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    let driver = drivers.build(&config.storage.driver, StoreAccess::ReadOnly).await?;
    let registry = engine::registry(config, driver, None);
    registry.set_read_only(true);
    Ok(inventory::Source::store(registry))
}
