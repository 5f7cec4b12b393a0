//! `Target`: a registry that is written.

use std::future::Future;

use bytes::Bytes;
use sampan_bundle::{ContentStream, Presumed};
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
pub trait Target: Send + Sync {
    /// The digest of a tag; `None` if there is no such tag.
    fn tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> impl Future<Output = Result<Option<Digest>>> + Send;

    /// Whether the repository has the manifest.
    fn has_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Whether the registry has presumed content, in any repository.
    fn has_presumed(&self, presumed: &Presumed) -> impl Future<Output = Result<bool>> + Send;

    /// Makes a blob that the registry has anywhere visible in the repository; `false` if it is nowhere. `repositories` may
    /// have it.
    fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        repositories: &[RepositoryName],
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Stores a blob, and compares its digest. A wrong digest leaves nothing behind.
    fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores a manifest whose references are there, and sets its tags.
    fn put_manifest(
        &self,
        repository: &RepositoryName,
        manifest: NewManifest<'_>,
    ) -> impl Future<Output = Result<()>> + Send;
}
