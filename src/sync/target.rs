//! `CopyTarget`: the store as the target of a copy. A blob that another repository has becomes visible only if the upstream
//! sent it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sampan_bundle::ContentStream;
use sampan_cache::UpstreamRepository;
use sampan_driver::with_causes;
use sampan_engine::Registry;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use sampan_transfer::{Error, NewManifest, Result, StoreTarget, Target};

/// The store, for one run of a job.
#[derive(Debug)]
pub(crate) struct RunTarget {
    store: StoreTarget,
    /// A plain mutex: held to read or add.
    sent: Arc<Mutex<StoredBlobs>>,
}

/// The store, for the copy of one repository of the upstream.
#[derive(Debug)]
pub(crate) struct CopyTarget {
    store: StoreTarget,
    sent: Arc<Mutex<StoredBlobs>>,
    upstream: UpstreamRepository,
}

/// A repository in which this run has stored each blob.
#[derive(Debug, Default)]
struct StoredBlobs {
    holders: HashMap<Digest, RepositoryName>,
    bytes: usize,
}

/// The most bytes of digests and names that are remembered; blobs beyond are transferred for each repository.
const MAX_BYTES: usize = 16 << 20;

impl StoredBlobs {
    fn insert(&mut self, digest: &Digest, repository: &RepositoryName) {
        let bytes = size_of::<(Digest, RepositoryName)>() + digest.hex().len() + repository.as_str().len();
        if self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.holders.insert(digest.clone(), repository.clone());
        }
    }
}

impl RunTarget {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { store: StoreTarget::of_upstream(registry), sent: Arc::default() }
    }

    /// The target for what comes from a repository of the upstream.
    pub(crate) fn of(&self, upstream: UpstreamRepository) -> CopyTarget {
        CopyTarget { store: self.store.clone(), sent: self.sent.clone(), upstream }
    }

    /// Waits until no blob is being stored.
    pub(crate) async fn flush(&self) {
        self.store.flush().await;
    }
}

impl CopyTarget {
    /// Whether the upstream has the blob in the repository that is copied: a manifest may name what is in others alone.
    async fn has_upstream(&self, digest: &Digest) -> Result<bool> {
        let found = self.upstream.blob_info(digest).await.map_err(|error| Error::Other(Box::new(error)))?;
        Ok(found.is_some())
    }
}

#[async_trait]
impl Target for CopyTarget {
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>> {
        self.store.tags(repository).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        self.store.tag(repository, tag).await
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.store.has_manifest(repository, digest).await
    }

    async fn keeps_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.store.keeps_manifest(repository, digest).await
    }

    async fn has_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<bool> {
        self.store.has_referrer(repository, subject, referrer).await
    }

    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.store.has_blob(repository, digest, size_bytes).await
    }

    async fn has_data(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.store.has_data(digest, size_bytes).await
    }

    /// Links only what this run has transferred, and the upstream has in this repository too. The store would link what any
    /// repository has.
    async fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        _: &[RepositoryName],
    ) -> Result<bool> {
        if self.has_blob(repository, digest, size_bytes).await? {
            return Ok(true);
        }
        let Some(holder) = self.sent.lock().holders.get(digest).cloned() else { return Ok(false) };
        if holder != *repository && !self.has_upstream(digest).await? {
            return Ok(false);
        }
        self.store.mount(repository, digest, size_bytes, Some(&holder)).await
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> Result<()> {
        self.store
            .put_blob(repository, digest, size_bytes, content)
            .await
            .map_err(|error| of_blob(digest, error))?;
        self.sent.lock().insert(digest, repository);
        Ok(())
    }

    async fn flush(&self) {
        self.store.flush().await;
    }

    fn merges(&self, tag: &Tag) -> bool {
        self.store.merges(tag)
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest<'_>) -> Result<bool> {
        self.store.put_manifest(repository, manifest).await
    }

    fn check_deletable(&self) -> Result<()> {
        self.store.check_deletable()
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<bool> {
        self.store.delete_tag(repository, tag, digest).await
    }
}

/// Names the blob, where a report has only the image.
fn of_blob(digest: &Digest, error: Error) -> Error {
    match error {
        Error::Store(_) if error.is_of_image() => {
            Error::Image { image: digest.to_string(), problem: with_causes(&error) }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_are_remembered_up_to_the_bound() {
        let longest: RepositoryName = "a".repeat(255).parse().unwrap();
        let mut sent = StoredBlobs::default();
        for number in 0..100_000_u32 {
            sent.insert(&Digest::of(sampan_engine::oci::Algorithm::Sha512, &number.to_be_bytes()), &longest);
        }
        assert!(sent.bytes <= MAX_BYTES && sent.holders.len() * 255 <= MAX_BYTES);
        assert!(sent.holders.len() > 10_000, "{}", sent.holders.len());
    }
}
