//! `ManifestCache`: manifests that were read and verified, kept by digest.
//!
//! What a digest names never changes, so an entry is right for ever; whether a repository has it is asked of the store each time.

use std::fmt;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::oci::{Digest, ManifestKind};

/// Verified manifests by canonical digest, bounded by bytes.
pub(crate) struct ManifestCache(Option<Cache<Digest, CachedManifest, ByBytes>>);

/// The bytes of a manifest, whose digest was compared, and what they are.
#[derive(Clone, Debug)]
pub(crate) struct CachedManifest {
    pub(crate) kind: ManifestKind,
    pub(crate) bytes: Bytes,
}

impl ManifestCache {
    pub(crate) const DEFAULT_BYTES: u64 = 16 << 20;

    pub(crate) fn new(bytes: u64) -> Self {
        let average = 2048;
        Self((bytes > 0).then(|| {
            Cache::with_weighter(usize::try_from(bytes / average).unwrap_or(usize::MAX), bytes, ByBytes)
        }))
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<CachedManifest> {
        self.0.as_ref()?.get(digest)
    }

    pub(crate) fn insert(&self, digest: &Digest, manifest: CachedManifest) {
        if let Some(cache) = &self.0 {
            cache.insert(digest.clone(), manifest);
        }
    }
}

impl fmt::Debug for ManifestCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManifestCache").field(&self.0.as_ref().map(|cache| cache.weight())).finish()
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, CachedManifest> for ByBytes {
    fn weight(&self, _: &Digest, manifest: &CachedManifest) -> u64 {
        // Key, links of the cache and the like, by estimate.
        manifest.bytes.len() as u64 + 256
    }
}
