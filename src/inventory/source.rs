//! `Source`: the source of an inventory.

use bytes::Bytes;
use sampan_client::ClientError;
use sampan_engine::oci::{Digest, Manifest};
use sampan_engine::{Error, Registry};

use super::remote::Remote;
use super::store::Store;

/// The source of an inventory.
#[derive(Debug)]
pub enum Source {
    /// A store, through its driver.
    Store(Store),
    /// A registry, through its API.
    Remote(Remote),
}

/// Why an inventory failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The registry did not respond, or not as it should.
    #[error(transparent)]
    Remote(#[from] ClientError),
}

/// A manifest with its parsed content.
#[derive(Clone, Debug)]
pub(super) struct LoadedManifest {
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) manifest: Manifest,
}

impl Source {
    /// The store of a registry, which must be [read-only](sampan_engine::Limits::read_only) so that reads
    /// take no lease.
    pub fn store(registry: Registry) -> Self {
        Self::Store(Store::new(registry))
    }

    /// All repositories, sorted.
    pub(super) async fn repositories(&self) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Store(store) => store.repositories().await,
            Self::Remote(remote) => remote.repositories().await,
        }
    }

    /// The tags of a repository, sorted; none if the repository does not exist.
    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Store(store) => store.tags(repository).await,
            Self::Remote(remote) => remote.tags(repository).await,
        }
    }

    /// The manifest of a tag or digest; `None` if it is missing or not parseable.
    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<LoadedManifest>, SourceError> {
        match self {
            Self::Store(store) => store.manifest(repository, reference).await,
            Self::Remote(remote) => remote.manifest(repository, reference).await,
        }
    }

    /// A small blob, such as an image's configuration; `None` if it is missing or not small.
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
