//! `StoredBytes`: how many bytes the caches store, between two collections.

use std::sync::atomic::{AtomicU64, Ordering};

use super::CachePrefixes;
use crate::gc::CacheSize;
use crate::oci::RepositoryName;

/// How many bytes the caches store: those that the last collection has counted, and those that were fetched since.
///
/// Blobs that two caches share are counted in neither of them, and once in all together. A blob that was fetched since the
/// collection counts even if it was stored already, so the figure is too high at worst.
#[derive(Debug)]
pub struct StoredBytes {
    prefixes: CachePrefixes,
    /// In the order of the prefixes; then those of all caches together.
    counts: Vec<Count>,
}

#[derive(Debug, Default)]
struct Count {
    counted: AtomicU64,
    /// Added since that.
    added: AtomicU64,
}

impl StoredBytes {
    /// Nothing is counted yet.
    pub(crate) fn new(prefixes: CachePrefixes) -> Self {
        let counts = (0..=prefixes.iter().count()).map(|_| Count::default()).collect();
        Self { prefixes, counts }
    }

    /// Adds a blob or manifest of so many bytes that was fetched into the repository. Nothing is added for a repository that
    /// is no cache.
    pub fn add(&self, name: &RepositoryName, bytes: u64) {
        let Some(index) = self.prefixes.index_of(name) else { return };
        for count in [&self.counts[index], self.all_counts()] {
            count.added.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The bytes of all caches.
    pub fn all(&self) -> u64 {
        self.all_counts().bytes()
    }

    /// The bytes of the caches below a prefix; 0 if it is none.
    pub fn of(&self, prefix: &str) -> u64 {
        let index = self.prefixes.iter().position(|other| other == prefix);
        index.map_or(0, |index| self.counts[index].bytes())
    }

    /// The bytes that were added since the last collection, to all caches.
    pub fn added(&self) -> u64 {
        self.all_counts().added.load(Ordering::Relaxed)
    }

    /// What was added until now, before a collection counts.
    pub(crate) fn begin(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.added.load(Ordering::Relaxed)).collect()
    }

    /// Takes over what a collection has counted, for each prefix and for all together, and forgets what was added before it.
    pub(crate) fn counted(&self, sizes: &[CacheSize], before: &[u64]) {
        for ((count, size), before) in self.counts.iter().zip(sizes).zip(before) {
            count.counted.store(size.bytes, Ordering::Relaxed);
            count.added.fetch_sub(*before, Ordering::Relaxed);
        }
    }

    fn all_counts(&self) -> &Count {
        &self.counts[self.counts.len() - 1]
    }
}

impl Count {
    fn bytes(&self) -> u64 {
        self.counted.load(Ordering::Relaxed).saturating_add(self.added.load(Ordering::Relaxed))
    }
}
