//! `Endpoint`: a store or a registry, as `--from` and `--to` name it.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use sampan_client::{InvalidAddress, Limits, RegistryAddress};
use sampan_engine::oci::RepositoryName;
use sampan_transfer::{RegistrySource, RegistryTarget, Selector, Source, StoreSource, StoreTarget, Target};

use super::args::is_config;
use super::login::LoginOptions;
use super::{check, store};
use crate::app;
use crate::drivers::Drivers;

/// A store, by the configuration that names it, or a registry, by its URL or host.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// A file whose name ends in `.yml` or `.yaml`; `None` is the configuration that `serve` would take.
    Config(Option<PathBuf>),
    /// Any other text.
    Registry(RegistryAddress),
}

impl Endpoint {
    /// Opens the place to compare a bundle with it; nothing is written, and no lease is taken. Asks for a password if the login
    /// needs one.
    pub(super) async fn compared(
        &self,
        drivers: &Drivers,
        login: &LoginOptions,
    ) -> Result<Box<dyn Target>, Box<dyn Error>> {
        match self {
            Self::Config(path) => {
                let loaded = check::find(drivers, path.clone())?;
                let registry = store::open_to_read(drivers, &loaded).await?;
                registry.set_read_only(true);
                Ok(Box::new(StoreTarget::new(registry)))
            }
            Self::Registry(address) => Ok(Box::new(RegistryTarget::new(login.client(address.clone())?))),
        }
    }
}

/// A target of a transfer, opened for writing.
pub(super) struct OpenTarget {
    pub(super) target: Box<dyn Target>,
    /// The longest manifest that it takes, in bytes.
    pub(super) max_manifest_bytes: u64,
    /// The free space of a store on a file system of this machine, in bytes.
    pub(super) free_bytes: Option<u64>,
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
    /// Opens the place to read `selectors` from it, and returns the host by which its images are known. Asks for a password
    /// if the login needs one.
    pub(super) async fn source(
        &self,
        drivers: &Drivers,
        login: &LoginOptions,
        selectors: &[Selector],
    ) -> Result<(Arc<dyn Source>, Option<String>), Box<dyn Error>> {
        match self {
            Self::Config(path) => {
                let loaded = check::find(drivers, path.clone())?;
                let registry = store::open_to_export(drivers, &loaded).await?;
                let incomplete = drivers.incomplete_repositories(&loaded.config.storage.driver).await?;
                let url = loaded.config.http.host.as_ref().map(|host| host.as_url());
                let host = url.and_then(|url| {
                    let host = url.host_str()?;
                    Some(url.port().map_or(host.to_owned(), |port| format!("{host}:{port}")))
                });
                Ok((Arc::new(StoreSource::new(registry).with_incomplete(incomplete)), host))
            }
            Self::Registry(address) => {
                // Without patterns no catalog is needed, which Docker Hub and others do not have.
                let named: Option<Vec<RepositoryName>> =
                    selectors.iter().map(Selector::exact_repository).collect();
                let registry = login.client(address.clone())?;
                Ok((Arc::new(RegistrySource::new(registry, named)), Some(address.name().to_owned())))
            }
        }
    }

    /// Opens the place to write to it. Asks for a password if the login needs one.
    pub(super) async fn target(
        &self,
        drivers: &Drivers,
        login: &LoginOptions,
    ) -> Result<OpenTarget, Box<dyn Error>> {
        match self {
            Self::Config(path) => {
                let loaded = check::find(drivers, path.clone())?;
                let registry = store::open_to_write(drivers, &loaded).await?;
                let max_manifest_bytes = registry.limits().manifest_size_bytes;
                let free_bytes = app::free_bytes(&loaded.config, drivers);
                Ok(OpenTarget {
                    target: Box::new(StoreTarget::new(registry)),
                    max_manifest_bytes,
                    free_bytes,
                })
            }
            Self::Registry(address) => {
                let registry = login.client(address.clone())?;
                let max_manifest_bytes = Limits::default().manifest_bytes;
                Ok(OpenTarget {
                    target: Box::new(RegistryTarget::new(registry)),
                    max_manifest_bytes,
                    free_bytes: None,
                })
            }
        }
    }
}
