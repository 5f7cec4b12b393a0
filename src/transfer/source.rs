//! `Source`: a registry that is read.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_bundle::ContentStream;
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use crate::Result;

/// A manifest of a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundManifest {
    /// The digest: that of the reference, or the one by which the tag was pushed.
    pub digest: Digest,
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// A registry that is read. All lists are sorted.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// All repositories.
    async fn repositories(&self) -> Result<Vec<RepositoryName>>;

    /// Whether a repository is known to be a part of another one, and may lack tags which that has: a cache, or a part in a
    /// bundle.
    fn is_partial(&self, repository: &RepositoryName) -> bool;

    /// The tags of a repository; `None` if the source has no list of them, which is not an empty one.
    async fn tags(&self, repository: &RepositoryName) -> Result<Option<Vec<Tag>>>;

    /// The time at which a tag was set; `None` if it is missing. `NoTagTimes` if the source cannot say.
    async fn tag_time(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<SystemTime>>;

    /// A manifest; `None` if it is missing. `Image` if only this one cannot be read.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<FoundManifest>>;

    /// The manifests attached to `subject`.
    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>>;

    /// The length of a blob in bytes; `None` if it is missing. The blob stays for a while, also if it loses its references.
    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>>;

    /// The bytes of a blob.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<ContentStream>;
}

/// A manifest as messages name it.
pub(crate) fn shown(repository: &RepositoryName, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    }
}
