//! `StoreTarget`: the store of a registry, which may run meanwhile.

use async_trait::async_trait;
use futures::StreamExt;
use sampan_bundle::ContentStream;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error as EngineError, MountOutcome, PutManifest, Registry, Repository};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::store_source::tags_of;
use crate::target::NewManifest;
use crate::{Error, Result, Target};

/// A store, written through the engine: an import is a push.
#[derive(Clone, Debug)]
pub struct StoreTarget {
    registry: Registry,
    /// Whether what comes into caches is their upstream's.
    is_of_upstream: bool,
    /// Blobs that are being stored.
    uploads: TaskTracker,
}

impl StoreTarget {
    /// The store of a registry, which must not be read-only.
    pub fn new(registry: Registry) -> Self {
        Self::with(registry, false)
    }

    /// The same, for what an upstream has sent: a collection may evict what comes into caches.
    pub fn of_upstream(registry: Registry) -> Self {
        Self::with(registry, true)
    }

    fn with(registry: Registry, is_of_upstream: bool) -> Self {
        let uploads = TaskTracker::new();
        // Only of a closed one the end can be waited for; it takes tasks nevertheless.
        uploads.close();
        Self { registry, is_of_upstream, uploads }
    }

    /// Makes a blob of the repository `from`, or else of any, visible in another; `false` if there is none of this length.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        from: Option<&RepositoryName>,
    ) -> Result<bool> {
        // Data of another length are damaged, and a push replaces them.
        let mounted = self.at(repository).blobs().mount(digest, from).await?;
        Ok(matches!(mounted, MountOutcome::Mounted(blob) if blob.size_bytes == size_bytes))
    }

    fn at(&self, repository: &RepositoryName) -> Repository {
        self.registry.repository(repository.clone())
    }
}

/// Succeeds if there is no such manifest or tag, or a damaged one, which a push replaces.
fn is_lacking(error: EngineError) -> Result<()> {
    match error {
        EngineError::ManifestUnknown(..) | EngineError::Corrupt(..) => Ok(()),
        error => Err(error.into()),
    }
}

#[async_trait]
impl Target for StoreTarget {
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>> {
        Ok(tags_of(&self.at(repository)).await?.unwrap_or_default())
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        match self.at(repository).manifests().stat(&Reference::Tag(tag.clone())).await {
            Ok(info) => Ok(Some(info.digest)),
            Err(error) => is_lacking(error).map(|()| None),
        }
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        match self.at(repository).manifests().stat(&Reference::Digest(digest.clone())).await {
            Ok(_) => Ok(true),
            Err(error) => is_lacking(error).map(|()| false),
        }
    }

    async fn keeps_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let is_there = self.has_manifest(repository, digest).await?;
        if !is_there || self.is_of_upstream {
            return Ok(is_there);
        }
        let is_kept = self.at(repository).manifests().is_kept(digest).await;
        is_kept.or_else(|error| is_lacking(error).map(|()| false))
    }

    /// The engine attaches a manifest as it stores it.
    async fn has_referrer(&self, _: &RepositoryName, _: &Digest, _: &Digest) -> Result<bool> {
        Ok(true)
    }

    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest, size_bytes: u64) -> Result<bool> {
        match self.at(repository).blobs().stat_and_lease(digest).await {
            Ok(blob) => Ok(blob.size_bytes == size_bytes),
            Err(EngineError::BlobUnknown(..)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn has_data(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        Ok(self.registry.data_size(digest).await? == Some(size_bytes))
    }

    async fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        repositories: &[RepositoryName],
    ) -> Result<bool> {
        if self.has_blob(repository, digest, size_bytes).await? {
            return Ok(true);
        }
        for from in repositories.iter().map(Some).chain([None]) {
            if self.mount(repository, digest, size_bytes, from).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> Result<()> {
        let (uploads, digest) = (self.at(repository).uploads(), digest.clone());
        let of_caches = self.is_of_upstream.then(|| (self.registry.clone(), repository.clone()));
        // When the caller goes, the content breaks off, and the task takes the upload back; one that is aborted would leave it.
        let (_caller, gone) = oneshot::channel::<()>();
        let content = content.take_until(gone).boxed();
        // A task of its own hashes on another processor than the next blob's.
        let task = self.uploads.spawn(async move {
            let stored = uploads.put(&digest, Some(size_bytes), content).await;
            if let (Ok(_), Some((registry, repository))) = (&stored, of_caches) {
                registry.cache_bytes().add(&repository, size_bytes);
            }
            stored
        });
        match task.await {
            Ok(stored) => Ok(stored.map(drop)?),
            Err(error) => Err(Error::Other(error.into())),
        }
    }

    /// The engine attaches by the subjects of manifests, and needs no list under a tag.
    fn merges(&self, _: &Tag) -> bool {
        false
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest<'_>) -> Result<bool> {
        let put = PutManifest {
            bytes: manifest.bytes,
            media_type: None,
            reference: Reference::Digest(manifest.digest.clone()),
            tags: manifest.tags,
            left_out: manifest.left_out,
        };
        let manifests = self.at(repository).manifests();
        match self.is_of_upstream && self.registry.caches().contains(repository) {
            true => manifests.put_fetched(put).await?,
            false => manifests.put(put).await?,
        };
        Ok(true)
    }

    async fn flush(&self) {
        self.uploads.wait().await;
    }

    fn check_deletable(&self) -> Result<()> {
        match self.registry.limits().delete {
            true => Ok(()),
            false => Err(Error::NoDeletion("set `storage.delete.enabled` in its configuration".to_owned())),
        }
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<bool> {
        Ok(self.at(repository).manifests().delete_tag_of(tag, digest).await?)
    }
}
