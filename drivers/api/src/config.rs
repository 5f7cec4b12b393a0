//! `DriverConfig`: builds a driver from a section of the configuration file.

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::{BoxError, StorageDriver};

/// A driver's section of the configuration file, which can build the driver.
///
/// Implementors derive `Deserialize` with `deny_unknown_fields`, so that a mistyped key is an error.
#[async_trait]
pub trait DriverConfig: DeserializeOwned + Send + 'static {
    /// The name of the section, such as `filesystem`.
    const NAME: &'static str;

    /// Opens the store and checks that it is usable.
    ///
    /// The store may already be open: in this process, as in the conformance suite, or in another, such as
    /// `garbage-collect` beside a server or a second server. A store that only one driver can have open fails
    /// here until that driver is dropped, and then opens; dropping a driver closes its store.
    ///
    /// # Errors
    ///
    /// A setting is not valid, or the store is not usable as configured.
    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError>;

    /// Opens the store as [`build`](Self::build) does, for a process that does not write: it creates nothing,
    /// writes nothing, and requires no permission to write. Writes through the driver may still work.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), except those that concern writing.
    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.build().await
    }

    /// Checks whether the store could be opened, as far as possible without creating or writing anything and
    /// without the network. May block.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), or [`build_read_only`](Self::build_read_only).
    fn check(&self, access: StoreAccess) -> Result<(), BuildError> {
        let _ = access;
        Ok(())
    }
}

/// The purpose of opening a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreAccess {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A store that does not open.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl BuildError {
    /// Creates an error for the author of the configuration: the problem, the setting and the remedy.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}
