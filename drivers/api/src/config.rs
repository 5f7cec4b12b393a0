//! From a section of the configuration file to a driver.

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::{BoxError, StorageDriver};

/// A driver's section of the configuration file, and the recipe for building the driver.
///
/// Implementors derive `Deserialize` with `deny_unknown_fields`, so that a mistyped key is found.
#[async_trait]
pub trait DriverConfig: DeserializeOwned + Send + 'static {
    /// The name of the section, such as `filesystem`.
    const NAME: &'static str;

    /// Opens the store, checking that it can be used.
    ///
    /// The store may be open already: in this process, as the conformance suite has it, or in another, such as
    /// `garbage-collect` beside a server or a second server. A store that one driver alone can have open fails here until that
    /// one is dropped, and then opens; to drop a driver is to close its store.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense or the store cannot be used as configured.
    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError>;
}

/// A store that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl BuildError {
    /// An error for the person who wrote the configuration: what is wrong, with which setting, and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}
