//! `BundleConfig`: the section `bundle` of the configuration file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::{BuildError, DriverConfig, StorageDriver, StoreAccess};
use sampan_engine::oci::RepositoryName;
use serde::Deserialize;

use crate::{BundleStore, Result};

/// The section `bundle`. A registry over it is read-only.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BundleConfig {
    /// The files of the bundles; the parts of a bundle by the name of the bundle, or each by its own.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Whether all content is hashed before the registry starts.
    #[serde(default)]
    pub verify: bool,
}

#[async_trait]
impl DriverConfig for BundleConfig {
    const NAME: &'static str = "bundle";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        let store = self.open().await?;
        tracing::info!(
            "{} in {} from {}, read-only",
            plural(store.repository_count(), "repository", "repositories"),
            plural(store.bundle_count(), "bundle", "bundles"),
            self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        );
        if self.verify {
            tracing::info!("hashing all content");
            store.verify().await.map_err(|error| unusable().with_source(error))?;
            tracing::info!("all content is verified");
        }
        Ok(Arc::new(store))
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        // The caller may or may not be a thread of a runtime.
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let runtime = runtime.map_err(|error| unusable().with_source(error))?;
                runtime.block_on(self.open()).map(drop)
            });
            opened.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl BundleConfig {
    /// The repositories that are not whole in these bundles.
    ///
    /// # Errors
    ///
    /// As [`build`](DriverConfig::build).
    pub async fn incomplete_repositories(&self) -> Result<BTreeSet<RepositoryName>, BuildError> {
        Ok(self.open().await?.incomplete_repositories())
    }

    async fn open(&self) -> Result<BundleStore, BuildError> {
        if self.files.is_empty() {
            return Err(BuildError::new("storage.bundle.files is empty: name the files of a bundle"));
        }
        BundleStore::open(&self.files).await.map_err(|error| unusable().with_source(error))
    }
}

fn unusable() -> BuildError {
    BuildError::new("the bundles cannot be served")
}

fn plural(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    }
}
