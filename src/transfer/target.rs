//! `Target`: a registry that is written.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_bundle::ContentStream;
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::Result;

/// A manifest to store.
#[derive(Clone, Debug)]
pub struct NewManifest<'a> {
    /// The digest by which it is stored.
    pub digest: &'a Digest,
    /// The bytes.
    pub bytes: Bytes,
    /// The tags to set.
    pub tags: Vec<Tag>,
    /// References that may be missing.
    pub left_out: Vec<Digest>,
}

/// A registry that is written.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// The tags of a repository, sorted; none if it does not exist.
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>>;

    /// The digest of a tag; `None` if there is no such tag.
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>>;

    /// Whether the repository has the manifest.
    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool>;

    /// Whether the repository has the manifest as one that was pushed: a collection may evict what a cache has fetched.
    async fn keeps_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool>;

    /// Whether a manifest that the repository has, and whose subject is `subject`, is among the referrers of that.
    async fn has_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<bool>;

    /// Whether the repository has the blob, with this length.
    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest, size_bytes: u64) -> Result<bool>;

    /// Whether the registry has the data in any repository; `false` if it cannot say.
    async fn has_data(&self, digest: &Digest, size_bytes: u64) -> Result<bool>;

    /// Makes a blob that the registry has anywhere visible in the repository; `false` if it is nowhere. `repositories` may
    /// have it.
    async fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        repositories: &[RepositoryName],
    ) -> Result<bool>;

    /// Stores a blob, and compares its digest. A wrong digest leaves nothing behind.
    ///
    /// `content` yields at most `size_bytes`, so a target may collect a short one.
    async fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> Result<()>;

    /// Waits until the blobs whose callers went before their end are taken back.
    async fn flush(&self);

    /// Whether an index under this tag is merged with the one that is there, instead of replacing it.
    fn merges(&self, tag: &Tag) -> bool;

    /// Stores a manifest whose references are there, and sets its tags; returns whether anything changed.
    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest<'_>) -> Result<bool>;

    /// Fails if the target is known to refuse deletions.
    fn check_deletable(&self) -> Result<()>;

    /// Removes a tag if it has this digest, and returns whether it did. The manifest stays.
    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<bool>;
}
