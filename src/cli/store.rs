//! The store of a configuration, whether or not a registry runs on it.

use std::error::Error;

use sampan_config::Loaded;
use sampan_engine::Registry;

use super::check;
use crate::app;
use crate::drivers::Drivers;

/// Opens the store to read it, also on a read-only medium.
pub(super) async fn open_to_read(drivers: &Drivers, loaded: &Loaded) -> Result<Registry, Box<dyn Error>> {
    refuse_in_memory(loaded, "this command sees nothing in it")?;
    let registry = app::read_store(&loaded.config, drivers).await;
    registry.map_err(|error| check::beside(&loaded.source, error.into()))
}

/// Opens the store to copy images from it.
pub(super) async fn open_to_export(drivers: &Drivers, loaded: &Loaded) -> Result<Registry, Box<dyn Error>> {
    refuse_in_memory(loaded, "this command sees nothing in it")?;
    let registry = app::export_store(&loaded.config, drivers).await;
    registry.map_err(|error| check::beside(&loaded.source, error.into()))
}

/// Opens the store to change what is there, beside a running registry.
pub(super) async fn open_to_change(drivers: &Drivers, loaded: &Loaded) -> Result<Registry, Box<dyn Error>> {
    refuse_in_memory(loaded, "this command sees nothing in it")?;
    let registry = app::existing_store(&loaded.config, drivers).await;
    registry.map_err(|error| check::beside(&loaded.source, error.into()))
}

/// Opens the store to add to it, beside a running registry; an empty directory becomes a store.
pub(super) async fn open_to_write(drivers: &Drivers, loaded: &Loaded) -> Result<Registry, Box<dyn Error>> {
    refuse_in_memory(loaded, "nothing that this command writes would stay")?;
    let registry = app::import_store(&loaded.config, drivers).await;
    registry.map_err(|error| check::beside(&loaded.source, error.into()))
}

/// Refuses a store that no other process sees; `so` is what that means for the command.
pub(super) fn refuse_in_memory(loaded: &Loaded, so: &str) -> Result<(), Box<dyn Error>> {
    match loaded.config.storage.driver.name() {
        "inmemory" => {
            Err(format!("the in-memory store belongs to the running registry alone, so {so}").into())
        }
        _ => Ok(()),
    }
}
