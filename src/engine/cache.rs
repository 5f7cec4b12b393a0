//! Verified content in memory: `ManifestCache`, and `ByKey` for any content that never changes.
//!
//! The content of a digest never changes, so entries never expire. The store decides on each request whether a
//! repository has the content.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use crate::descriptors::CachedDescriptor;
use crate::oci::{Digest, MediaType, RepositoryName};

/// Contents by canonical digest, bounded by bytes.
pub(crate) type ByDigest<T> = ByKey<Digest, T>;

/// Contents by a key, bounded by bytes.
///
/// The cache stores copies. Bytes from a driver or a connection may be a small slice of a large buffer, and the slice would
/// keep the whole buffer alive.
pub(crate) struct ByKey<K, T>(Option<Cache<K, T, ByBytes>>);

/// A key of a cache.
pub(crate) trait Key: Clone + Eq + Hash {
    /// The memory that the key takes beside that of a digest.
    fn size_bytes(&self) -> usize;
}

impl Key for Digest {
    fn size_bytes(&self) -> usize {
        0
    }
}

impl Key for (RepositoryName, Digest) {
    fn size_bytes(&self) -> usize {
        self.0.as_str().len()
    }
}

/// A value that the cache stores.
pub(crate) trait Content: Clone {
    /// The memory that the value takes, without a fixed overhead.
    fn size_bytes(&self) -> usize;

    /// A copy that shares no buffer with the original.
    fn copied(&self) -> Self;
}

impl Content for Bytes {
    fn size_bytes(&self) -> usize {
        self.len()
    }

    fn copied(&self) -> Self {
        Self::copy_from_slice(self)
    }
}

impl Content for CachedManifest {
    fn size_bytes(&self) -> usize {
        self.bytes.len() + self.media_type.as_str().len()
    }

    fn copied(&self) -> Self {
        Self { media_type: self.media_type.clone(), bytes: self.bytes.copied() }
    }
}

/// Verified manifests.
#[derive(Debug)]
pub(crate) struct ManifestCache {
    entries: ByDigest<CachedManifest>,
    requests: AtomicU64,
    hits: AtomicU64,
}

/// How often the cache was asked for a manifest, and how often it had it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheStatistics {
    /// Lookups.
    pub requests: u64,
    /// Lookups that found the manifest.
    pub hits: u64,
}

/// The verified bytes of a manifest, and its media type.
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

/// The average size of a manifest or a configuration.
const AVERAGE_BYTES: u64 = 2048;

/// The most shards: with these, processors rarely wait for each other.
const MAX_SHARDS: u64 = 256;

impl<K: Key, T: Content> ByKey<K, T> {
    /// Creates a cache of `bytes` bytes; 0 caches nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        Self::with_largest(bytes, AVERAGE_BYTES)
    }

    /// The same for contents of up to `largest_bytes`. The cache is cut into shards, and keeps nothing larger than one. How many
    /// there are would depend on the processors.
    pub(crate) fn with_largest(bytes: u64, largest_bytes: u64) -> Self {
        if bytes == 0 {
            return Self(None);
        }
        let fit = (bytes / largest_bytes.saturating_mul(2).max(1)).clamp(1, MAX_SHARDS);
        // The cache rounds up to a power of two.
        let shards = if fit.is_power_of_two() { fit } else { fit.next_power_of_two() / 2 };
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(bytes / AVERAGE_BYTES).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .build();
        let cached = |options| Cache::with_options(options, ByBytes, Default::default(), Default::default());
        Self(options.ok().map(cached))
    }

    pub(crate) fn get(&self, key: &K) -> Option<T> {
        self.0.as_ref()?.get(key)
    }

    pub(crate) fn insert(&self, key: &K, content: &T) {
        if let Some(cache) = &self.0 {
            cache.insert(key.clone(), content.copied());
        }
    }

    /// The weight of all entries.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, Cache::weight)
    }

    /// Whether the cache stores anything at all.
    pub(crate) fn has_room(&self) -> bool {
        self.0.is_some()
    }
}

impl<K: Key, T: Content> fmt::Debug for ByKey<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByKey").field(&self.weight_bytes()).finish()
    }
}

impl ManifestCache {
    pub(crate) const DEFAULT_BYTES: u64 = 16 << 20;

    /// Creates a cache of `bytes` bytes for manifests of up to `largest_bytes`.
    pub(crate) fn new(bytes: u64, largest_bytes: u64) -> Self {
        let entries = ByDigest::with_largest(bytes, largest_bytes);
        Self { entries, requests: AtomicU64::new(0), hits: AtomicU64::new(0) }
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
        // Load the hits first, so that they never exceed the requests.
        let hits = self.hits.load(Ordering::Relaxed);
        CacheStatistics { requests: self.requests.load(Ordering::Relaxed), hits }
    }

    pub(crate) fn insert(&self, digest: &Digest, manifest: &CachedManifest) {
        self.entries.insert(digest, manifest);
    }
}

#[derive(Clone)]
struct ByBytes;

impl<K: Key, T: Content> Weighter<K, T> for ByBytes {
    fn weight(&self, key: &K, content: &T) -> u64 {
        // An estimate of a digest, the links of the cache and other overhead.
        (key.size_bytes() + content.size_bytes()) as u64 + 256
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::oci::ManifestKind;

    fn manifest(bytes: Bytes) -> CachedManifest {
        CachedManifest { media_type: ManifestKind::OciManifest.into(), bytes }
    }

    #[test]
    fn hundreds_of_the_largest_manifests_take_no_more_than_their_share() {
        let cache = ManifestCache::new(ManifestCache::DEFAULT_BYTES, 4 << 20);
        let largest = Bytes::from(vec![b' '; 4 << 20]);
        for number in 0..200_u32 {
            let digest = Digest::sha256_of(&number.to_be_bytes());
            cache.insert(&digest, &manifest(largest.clone()));
            assert!(cache.entries.weight_bytes() <= ManifestCache::DEFAULT_BYTES);
            assert!(cache.get(&digest).is_some(), "a manifest of the largest size is not shared");
        }
        let small = Digest::sha256_of(b"small");
        cache.insert(&small, &manifest(Bytes::from_static(b"{}")));
        assert!(cache.get(&small).is_some());
    }

    #[test]
    fn what_is_kept_keeps_no_more_than_itself() {
        /// A buffer that reports its drop to the test.
        struct Buffer {
            _seen: Arc<()>,
        }
        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                &[b'x'; 1 << 16]
            }
        }
        let seen = Arc::new(());
        let (cache, digest) = (ManifestCache::new(1 << 20, 1 << 16), Digest::sha256_of(b"x"));
        cache.insert(&digest, &manifest(Bytes::from_owner(Buffer { _seen: seen.clone() }).slice(..1)));
        assert_eq!(Arc::strong_count(&seen), 1, "the whole buffer is kept");
        assert_eq!(cache.get(&digest).unwrap().bytes, "x");
    }
}
