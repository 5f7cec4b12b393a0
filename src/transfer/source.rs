//! `Source`: a registry that is read.

use std::future::Future;

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
pub trait Source: Send + Sync {
    /// All repositories.
    fn repositories(&self) -> impl Future<Output = Result<Vec<RepositoryName>>> + Send;

    /// The tags of a repository.
    fn tags(&self, repository: &RepositoryName) -> impl Future<Output = Result<Vec<Tag>>> + Send;

    /// A manifest; `None` if it is missing.
    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> impl Future<Output = Result<Option<FoundManifest>>> + Send;

    /// The manifests attached to `subject`.
    fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> impl Future<Output = Result<Vec<Descriptor>>> + Send;

    /// The length of a blob in bytes; `None` if it is missing. The blob stays for a while, also if it loses its references.
    fn blob_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// The bytes of a blob.
    fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Future<Output = Result<ContentStream>> + Send;
}
