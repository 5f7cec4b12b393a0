//! `DescriptorCache`: descriptors of manifests in a cache that several registries share.
//!
//! It answers `HEAD` without the bytes of the manifest. The content of a digest never changes, so entries never expire. The
//! store decides on each request whether a repository has the manifest, as for manifests in memory. No lease depends on an
//! entry, so a stale or missing entry costs at most one request to the store.

use std::fmt;

use async_trait::async_trait;

use crate::oci::{Digest, MediaType};

/// A cache of descriptors of manifests, by canonical digest. Implementations handle their own failures: an answer is a hint.
#[async_trait]
pub trait DescriptorCache: fmt::Debug + Send + Sync + 'static {
    /// The cached descriptor of a manifest.
    async fn get(&self, digest: &Digest) -> Option<CachedDescriptor>;

    /// Caches the descriptor of a manifest.
    async fn put(&self, digest: &Digest, descriptor: CachedDescriptor);
}

/// The descriptor of a manifest without its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CachedDescriptor {
    /// The `Content-Type` of its responses.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size_bytes: u64,
}
