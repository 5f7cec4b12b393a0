//! Opens the stores of a backup or restore.

use sampan_config::Config;
use sampan_engine::Registry;

use super::{AppError, MigrationAccess, MigrationStores, engine, migration_stores};
use crate::drivers::Drivers;

/// The store that is read and the one that is filled, as the engine uses them.
pub struct BackupStores {
    /// The store that is read.
    pub source: Registry,
    /// Its name for people, such as `filesystem /var/lib/registry`.
    pub from: String,
    /// The store that is filled.
    pub target: Registry,
    /// Its name.
    pub to: String,
}

/// Opens the stores of two configurations; a dry run only reads both.
///
/// # Errors
///
/// As [`migration_stores`].
pub async fn backup_stores(
    source: &Config,
    target: &Config,
    drivers: &Drivers,
    dry_run: bool,
) -> Result<BackupStores, AppError> {
    let access = if dry_run { MigrationAccess::Read } else { MigrationAccess::Fill };
    let stores = migration_stores(source, target, drivers, access).await?;
    let MigrationStores { source: from_driver, from, target: to_driver, to, .. } = stores;
    Ok(BackupStores {
        source: engine::registry(source, from_driver, None),
        from,
        target: engine::registry(target, to_driver, None),
        to,
    })
}
