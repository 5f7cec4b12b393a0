//! `StoredImage`: an image or index of a repository, with all that a page shows of it.

use std::sync::Arc;

use bytes::Bytes;
use sampan_engine::oci::{Digest, Manifest, Reference};
use sampan_engine::{Error, ImageKind, ImageSummary, Repository};

use super::config::{self, KnownConfig};

/// An image or index of a repository.
pub(crate) struct StoredImage {
    pub(crate) digest: Digest,
    pub(crate) summary: Arc<ImageSummary>,
    /// The manifest as it is stored; `None` if it is damaged.
    pub(crate) bytes: Option<Bytes>,
    /// `None` if it is damaged, or of a kind that this registry does not know.
    pub(crate) manifest: Option<Manifest>,
}

impl StoredImage {
    /// Reads the image of a tag or digest. A damaged one is described as far as it is known.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; any error of the store.
    pub(crate) async fn read(repository: &Repository, reference: &Reference) -> Result<Self, Error> {
        let digest = repository.manifests().digest(reference).await?;
        let summary = repository.summary(&digest).await?;
        let bytes = match repository.manifests().get(&Reference::Digest(digest.clone())).await {
            Ok(stored) => Some(stored.bytes),
            Err(Error::Corrupt(..)) => None,
            Err(error) => return Err(error),
        };
        let manifest = bytes.as_deref().and_then(|bytes| Manifest::parse(bytes, None).ok());
        Ok(Self { digest, summary, bytes, manifest })
    }

    /// The configuration; `None` for what has none that a page reads.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn config(&self, repository: &Repository) -> Result<Option<KnownConfig>, Error> {
        match self.manifest.as_ref().and_then(|manifest| manifest.config.as_ref()) {
            Some(config) if self.summary.kind == ImageKind::Image => {
                config::read(repository, config).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}
