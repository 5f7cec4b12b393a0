//! `MyConfig`: the section of the configuration file.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::{BuildError, DriverConfig, StorageDriver};
use serde::Deserialize;

use super::MyDriver;
use super::store::{NAME, Store};

/// The keys of the section.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MyConfig {
    /// The directory of the database.
    pub(crate) root: PathBuf,
}

#[async_trait]
impl DriverConfig for MyConfig {
    const NAME: &'static str = NAME;

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        let file = self.root.join("files.redb");
        let place = file.display().to_string();
        let opened = tokio::task::spawn_blocking(move || Store::open(&file)).await;
        let cannot = format!("the database {place} cannot be opened; is it open in another process?");
        match opened {
            Ok(Ok(store)) => Ok(Arc::new(MyDriver { store: Arc::new(store) })),
            Ok(Err(error)) => Err(BuildError::new(cannot).with_source(error)),
            Err(error) => Err(BuildError::new(cannot).with_source(error)),
        }
    }
}
