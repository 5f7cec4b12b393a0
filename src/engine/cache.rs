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
///
/// What is kept is a copy. The bytes that a driver or a connection gives may be a small part of a large buffer, which would stay
/// as a whole for as long as they do.
pub(crate) struct ByDigest<T>(Option<Cache<Digest, T, ByBytes>>);

/// Something that is kept by its digest.
pub(crate) trait Content: Clone {
    /// What it takes in memory, but for a fixed part.
    fn size_bytes(&self) -> usize;

    /// The same, with bytes that are nothing but its own.
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

impl<T: Content> ByDigest<T> {
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

    pub(crate) fn insert(&self, digest: &Digest, content: &T) {
        if let Some(cache) = &self.0 {
            cache.insert(digest.clone(), content.copied());
        }
    }

    /// What all of it takes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, Cache::weight)
    }

    /// Whether anything is kept at all.
    pub(crate) fn has_room(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Content> fmt::Debug for ByDigest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByDigest").field(&self.weight_bytes()).finish()
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

    pub(crate) fn insert(&self, digest: &Digest, manifest: &CachedManifest) {
        self.entries.insert(digest, manifest);
    }
}

#[derive(Clone)]
struct ByBytes;

impl<T: Content> Weighter<Digest, T> for ByBytes {
    fn weight(&self, _: &Digest, content: &T) -> u64 {
        // Key, links of the cache and the like, by estimate.
        content.size_bytes() as u64 + 256
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
        let cache = ManifestCache::new(ManifestCache::DEFAULT_BYTES);
        let largest = Bytes::from(vec![b' '; 4 << 20]);
        for number in 0..200_u32 {
            let digest = Digest::sha256_of(&number.to_be_bytes());
            cache.insert(&digest, &manifest(largest.clone()));
            assert!(cache.entries.weight_bytes() <= ManifestCache::DEFAULT_BYTES);
        }
        let small = Digest::sha256_of(b"small");
        cache.insert(&small, &manifest(Bytes::from_static(b"{}")));
        assert!(cache.get(&small).is_some());
    }

    #[test]
    fn what_is_kept_keeps_no_more_than_itself() {
        /// A buffer that tells its test when it is dropped.
        struct Buffer {
            _seen: Arc<()>,
        }
        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                &[b'x'; 1 << 16]
            }
        }
        let seen = Arc::new(());
        let (cache, digest) = (ManifestCache::new(1 << 20), Digest::sha256_of(b"x"));
        cache.insert(&digest, &manifest(Bytes::from_owner(Buffer { _seen: seen.clone() }).slice(..1)));
        assert_eq!(Arc::strong_count(&seen), 1, "the whole buffer is kept");
        assert_eq!(cache.get(&digest).unwrap().bytes, "x");
    }
}
