//! `DescriptorCache`: what is known of manifests, kept where other registries see it too.
//!
//! It answers `HEAD` without the bytes of the manifest. What a digest names never changes, so an entry is right for ever;
//! whether a repository has it is asked of the store each time, as with the manifests that are kept in memory.
//! Nothing is promised because of an entry, so one that is stale, or gone, costs a request to the store at most.

use std::fmt;

use async_trait::async_trait;

use crate::oci::{Digest, MediaType};

/// A cache of descriptors of manifests, by canonical digest. Whatever fails in it is its own affair: an answer is a hint.
#[async_trait]
pub trait DescriptorCache: fmt::Debug + Send + Sync + 'static {
    /// What is known of a manifest.
    async fn get(&self, digest: &Digest) -> Option<CachedDescriptor>;

    /// Keeps what was seen of a manifest.
    async fn put(&self, digest: &Digest, descriptor: CachedDescriptor);
}

/// What is known of a manifest besides its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CachedDescriptor {
    /// What it is served as.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size_bytes: u64,
}
