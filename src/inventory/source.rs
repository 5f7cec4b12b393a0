//! `Source`: where an inventory is read from.

use bytes::Bytes;
use sampan_engine::oci::{Digest, Manifest};
use sampan_engine::{Error, Registry};

use super::remote::Remote;
use super::store::Store;

/// Where an inventory is read from.
#[derive(Debug)]
pub enum Source {
    /// A store, by its driver.
    Store(Store),
    /// A registry, by its API.
    Remote(Remote),
}

/// Why an inventory cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The registry did not answer, or not as it should.
    #[error("{url}: {problem}")]
    Remote {
        /// What was asked for, without a user or query.
        url: String,
        /// What went wrong.
        problem: String,
    },
}

/// A manifest and what it says.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) manifest: Manifest,
}

impl Source {
    /// The store of a registry, which must be [read-only](sampan_engine::Limits::read_only) so that no lease is taken.
    pub fn store(registry: Registry) -> Self {
        Self::Store(Store::new(registry))
    }

    /// Every repository, in order.
    pub(super) async fn repositories(&self) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Store(store) => store.repositories().await,
            Self::Remote(remote) => remote.repositories().await,
        }
    }

    /// The tags of a repository, in order; none if there is no such repository.
    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Store(store) => store.tags(repository).await,
            Self::Remote(remote) => remote.tags(repository).await,
        }
    }

    /// The manifest of a tag or digest; `None` if it is not there, or cannot be understood.
    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Found>, SourceError> {
        match self {
            Self::Store(store) => store.manifest(repository, reference).await,
            Self::Remote(remote) => remote.manifest(repository, reference).await,
        }
    }

    /// A small blob, such as the configuration of an image; `None` if it is not there or not small.
    pub(super) async fn small_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Bytes>, SourceError> {
        match self {
            Self::Store(store) => store.small_blob(repository, digest).await,
            Self::Remote(remote) => remote.small_blob(repository, digest).await,
        }
    }
}
