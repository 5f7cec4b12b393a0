//! `Endpoint`: a store or a registry, as `--from` and `--to` name it.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;

use sampan_client::{InvalidAddress, Limits, RegistryAddress};
use sampan_engine::oci::RepositoryName;
use sampan_transfer::{
    AnySource, AnyTarget, RegistrySource, RegistryTarget, Selector, StoreSource, StoreTarget,
};

use super::args::is_config;
use super::check;
use super::login::LoginOptions;
use crate::app;
use crate::drivers::Drivers;
use sampan_config::Loaded;

/// A store, by the configuration that names it, or a registry, by its URL or host.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// A file whose name ends in `.yml` or `.yaml`; `None` is the configuration that `serve` would take.
    Config(Option<PathBuf>),
    /// Any other text.
    Registry(RegistryAddress),
}

impl FromStr for Endpoint {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        match is_config(text.as_ref()) {
            true => Ok(Self::Config(Some(text.into()))),
            false => Ok(Self::Registry(text.parse()?)),
        }
    }
}

impl Endpoint {
    /// Opens the place to read `selectors` from it. Asks for a password if the login needs one.
    pub(super) async fn source(
        &self,
        drivers: &Drivers,
        login: &LoginOptions,
        selectors: &[Selector],
    ) -> Result<AnySource, Box<dyn Error>> {
        match self {
            Self::Config(path) => {
                let Loaded { config, source, .. } = check::find(drivers, path.clone())?;
                let registry = app::export_store(&config, drivers).await;
                Ok(AnySource::Store(StoreSource::new(
                    registry.map_err(|error| check::beside(&source, error.into()))?,
                )))
            }
            Self::Registry(address) => Ok(AnySource::Registry(registry_source(address, login, selectors)?)),
        }
    }

    /// Opens the place to write to it, and returns the longest manifest that it takes, in bytes. Asks for a password if the
    /// login needs one.
    pub(super) async fn target(
        &self,
        drivers: &Drivers,
        login: &LoginOptions,
    ) -> Result<(AnyTarget, u64), Box<dyn Error>> {
        match self {
            Self::Config(path) => {
                let Loaded { config, source, .. } = check::find(drivers, path.clone())?;
                let registry = app::import_store(&config, drivers).await;
                let registry = registry.map_err(|error| check::beside(&source, error.into()))?;
                let max_manifest_bytes = registry.limits().manifest_size_bytes;
                Ok((AnyTarget::Store(StoreTarget::new(registry)), max_manifest_bytes))
            }
            Self::Registry(address) => {
                let registry = login.client(address.clone())?;
                Ok((AnyTarget::Registry(RegistryTarget::new(registry)), Limits::default().manifest_bytes))
            }
        }
    }
}

/// The registry at `address`, of which `selectors` are read.
pub(super) fn registry_source(
    address: &RegistryAddress,
    login: &LoginOptions,
    selectors: &[Selector],
) -> Result<RegistrySource, Box<dyn Error>> {
    // Without patterns no catalog is needed, which Docker Hub and others do not have.
    let named: Option<Vec<RepositoryName>> = selectors.iter().map(Selector::exact_repository).collect();
    Ok(RegistrySource::new(login.client(address.clone())?, named))
}
