//! What was read and compared with its digest, kept in memory: `ManifestCache`, and `ByDigest` for anything.
//!
//! What a digest names never changes, so an entry is right for ever; whether a repository has it is asked of the store each time.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::descriptors::CachedDescriptor;
use crate::oci::{Digest, MediaType};

/// Contents by canonical digest, bounded by bytes.
pub(crate) struct ByDigest<T>(Option<Cache<Digest, T, ByBytes>>);

/// Verified manifests.
#[derive(Debug)]
pub(crate) struct ManifestCache {
    entries: ByDigest<CachedManifest>,
    requests: AtomicU64,
    hits: AtomicU64,
}

/// How often a manifest was looked for in memory, and found there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheStatistics {
    /// Looked for.
    pub requests: u64,
    /// And found.
    pub hits: u64,
}

/// The bytes of a manifest, whose digest was compared, and what they are.
#[derive(Clone, Debug)]
pub(crate) struct CachedManifest {
    pub(crate) media_type: MediaType,
    pub(crate) bytes: Bytes,
}

impl CachedManifest {
    pub(crate) fn descriptor(&self) -> CachedDescriptor {
        CachedDescriptor { media_type: self.media_type.clone(), size_bytes: self.bytes.len() as u64 }
    }
}

impl<T: AsRef<[u8]> + Clone> ByDigest<T> {
    /// Room for so many `bytes`; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        let average = 2048;
        Self((bytes > 0).then(|| {
            Cache::with_weighter(usize::try_from(bytes / average).unwrap_or(usize::MAX), bytes, ByBytes)
        }))
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<T> {
        self.0.as_ref()?.get(digest)
    }

    pub(crate) fn insert(&self, digest: &Digest, content: T) {
        if let Some(cache) = &self.0 {
            cache.insert(digest.clone(), content);
        }
    }

    /// Whether anything is kept at all.
    pub(crate) fn has_room(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: AsRef<[u8]> + Clone> fmt::Debug for ByDigest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByDigest").field(&self.0.as_ref().map(|cache| cache.weight())).finish()
    }
}

impl ManifestCache {
    pub(crate) const DEFAULT_BYTES: u64 = 16 << 20;

    pub(crate) fn new(bytes: u64) -> Self {
        Self { entries: ByDigest::new(bytes), requests: AtomicU64::new(0), hits: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<CachedManifest> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let found = self.entries.get(digest);
        if found.is_some() {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    pub(crate) fn statistics(&self) -> CacheStatistics {
        // The hits first: there are never more of them than requests.
        let hits = self.hits.load(Ordering::Relaxed);
        CacheStatistics { requests: self.requests.load(Ordering::Relaxed), hits }
    }

    pub(crate) fn insert(&self, digest: &Digest, manifest: CachedManifest) {
        self.entries.insert(digest, manifest);
    }
}

impl AsRef<[u8]> for CachedManifest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Clone)]
struct ByBytes;

impl<T: AsRef<[u8]>> Weighter<Digest, T> for ByBytes {
    fn weight(&self, _: &Digest, content: &T) -> u64 {
        // Key, links of the cache and the like, by estimate.
        content.as_ref().len() as u64 + 256
    }
}
