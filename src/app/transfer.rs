//! Stores for exports and imports, which may be in use by a registry meanwhile.

use std::sync::Arc;

use sampan_driver::StoreAccess;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::Registry;

use super::{AppError, engine, store};
use crate::drivers::Drivers;
use crate::health::FileSystemSpace;
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

/// Opens the store of `config` for a command that only reads; if its medium is read-only, so is the registry. Where it can be
/// written to, what is read gets leases unless the configuration is read-only.
///
/// # Errors
///
/// If there is no store, or it cannot be opened.
pub async fn read_store(config: &Config, drivers: &Drivers) -> Result<Registry, AppError> {
    be_quiet(config);
    let directory = drivers.local_directory(&config.storage.driver);
    if let Some(directory) = &directory {
        store::require(directory)?;
    }
    let driver = drivers.build(&config.storage.driver, StoreAccess::ReadOnly).await?;
    let registry = engine::registry(config, driver, None);
    if directory.is_some_and(|directory| store::is_on_read_only_medium(&directory)) {
        registry.set_read_only(true);
    }
    Ok(registry)
}

/// Opens the store of `config` to change what is there: a mistyped directory must not become an empty store that is whole.
///
/// # Errors
///
/// As [`import_store`], and if there is no store.
pub async fn existing_store(config: &Config, drivers: &Drivers) -> Result<Registry, AppError> {
    be_quiet(config);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    import_store(config, drivers).await
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

/// An empty store in memory, for a command that asks for nothing in the store of `config`.
pub fn no_store(config: &Config) -> Registry {
    be_quiet(config);
    engine::registry(config, Arc::new(InMemoryDriver::new()), None)
}

/// Whether the store of `config` is something else than a directory that the first push makes. May block.
pub fn has_store(config: &Config, drivers: &Drivers) -> bool {
    drivers.local_directory(&config.storage.driver).is_none_or(|directory| !store::is_empty(&directory))
}

/// The bytes that this process may still write to the store of `config`, if it is a directory of this machine. May block.
pub fn free_bytes(config: &Config, drivers: &Drivers) -> Option<u64> {
    let directory = drivers.local_directory(&config.storage.driver)?;
    // The first push creates the directory.
    let existing = directory.ancestors().find(|path| path.exists())?;
    FileSystemSpace::of(existing).ok().map(|room| room.free_bytes)
}

/// Logs warnings only: the command prints the rest.
fn be_quiet(config: &Config) {
    logging::install(&LogConfig { level: LogLevel::Warn, ..config.log.clone() });
}

#[cfg(test)]
mod tests {
    use sampan_config::{Environment, Source};

    use super::*;

    #[test]
    fn the_space_of_a_directory_that_does_not_exist_yet_is_that_of_its_parent() {
        let directory = tempfile::tempdir().unwrap();
        let free = |storage: String| {
            let text = format!("version: 0.1\nstorage: {{{storage}}}\n");
            let source = Source::Text { name: "config.yml".to_owned(), text };
            let loaded = Drivers::builtin().load(source, &Environment::default()).unwrap();
            free_bytes(&loaded.config, &Drivers::builtin())
        };
        let root = directory.path().join("not/there");
        assert!(
            free(format!("filesystem: {{rootdirectory: {}}}", root.display())).is_some_and(|free| free > 0)
        );
        assert_eq!(free("inmemory: {}".to_owned()), None);
    }
}
