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

    /// Opens the store as [`build`](Self::build) does, for a process that writes nothing to it: it makes nothing, writes nothing,
    /// and asks for no permission to write. Writes through the driver may work all the same.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but for what only writing needs.
    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.build().await
    }

    /// Looks whether the store could be opened, as far as that can be seen without making, writing or asking for anything over
    /// a network. It may block.
    ///
    /// # Errors
    ///
    /// As those of [`build`](Self::build), or [`build_read_only`](Self::build_read_only).
    fn check(&self, access: StoreAccess) -> Result<(), BuildError> {
        let _ = access;
        Ok(())
    }
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreAccess {
    /// Reading alone.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
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
