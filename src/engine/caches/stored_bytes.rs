//! `StoredBytes`: how many bytes the caches store, between two collections.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::CachePrefixes;
use crate::clock::millis;
use crate::gc::{CacheSize, Eviction, LastRun};
use crate::oci::RepositoryName;

/// The bytes that the caches store: those that the last collection counted, and those fetched since.
///
/// Blobs that two caches share are counted in neither of them, and once in all together. A blob that was fetched since the
/// collection counts even if it was stored already, so the figure is too high at worst.
#[derive(Debug)]
pub struct StoredBytes {
    prefixes: CachePrefixes,
    /// In the order of the prefixes; then those of all caches together.
    counts: Vec<Count>,
    /// When the counting collection began, in milliseconds since 1970; 0 before the first.
    counted_ms: AtomicU64,
    /// A hash of the names of the caches with images that were pushed, as the last collection found them.
    pushed: AtomicU64,
}

/// How many repositories a warning names.
const SHOWN: usize = 10;

/// Equal for equal names within one process.
fn hash_of(names: &[RepositoryName]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Default)]
struct Count {
    counted: AtomicU64,
    /// Added since that.
    added: AtomicU64,
}

impl StoredBytes {
    /// Creates the counts of caches that no collection has counted yet.
    pub(crate) fn new(prefixes: CachePrefixes) -> Self {
        let counts = (0..=prefixes.iter().count()).map(|_| Count::default()).collect();
        Self { prefixes, counts, counted_ms: AtomicU64::new(0), pushed: AtomicU64::new(hash_of(&[])) }
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

    /// The bytes of the caches below a prefix; 0 if nothing is cached below it.
    pub fn of(&self, prefix: &str) -> u64 {
        let index = self.prefixes.iter().position(|other| other == prefix);
        index.map_or(0, |index| self.counts[index].bytes())
    }

    /// The bytes that were added since the last collection, to all caches.
    pub fn added(&self) -> u64 {
        self.all_counts().added.load(Ordering::Relaxed)
    }

    /// Whether the caches store more than they may, and something was added since that a collection has not weighed: a
    /// twentieth of the bound at least, so that a cache full of what must stay is not collected without end.
    pub fn exceeds(&self, bounds: &Eviction) -> bool {
        let below = self.prefixes.iter().map(|prefix| bounds.max_bytes_below.get(prefix).copied());
        let bounds = below.chain([bounds.max_bytes]);
        self.counts.iter().zip(bounds).any(|(count, bound)| {
            let added = count.added.load(Ordering::Relaxed);
            bound.is_some_and(|bound| count.bytes() > bound && added > bound / 20)
        })
    }

    /// Whether the caches may store so many more bytes in the repository: up to 105 % of their bounds.
    pub fn has_room(&self, name: &RepositoryName, bytes: u64, bounds: &Eviction) -> bool {
        let Some(index) = self.prefixes.index_of(name) else { return true };
        let below =
            self.prefixes.iter().nth(index).and_then(|prefix| bounds.max_bytes_below.get(prefix).copied());
        let bounded = [(&self.counts[index], below), (self.all_counts(), bounds.max_bytes)];
        bounded.into_iter().all(|(count, bound)| {
            bound.is_none_or(|bound| count.bytes().saturating_add(bytes) <= bound.saturating_add(bound / 20))
        })
    }

    /// Takes over what another process has counted, if that began later than the count that is known.
    pub fn learn(&self, last: &LastRun) {
        let Some(begun) = last.caches_begun() else { return };
        let is_new = self.counted_ms.fetch_max(millis(begun), Ordering::Relaxed) < millis(begun);
        if !is_new {
            return;
        }
        for size in &last.cache_sizes {
            let place = self.prefixes.iter().position(|prefix| Some(prefix) == size.prefix.as_deref());
            let count = match (&size.prefix, place) {
                (None, _) => self.all_counts(),
                (Some(_), Some(place)) => &self.counts[place],
                // The configuration has changed.
                (Some(_), None) => continue,
            };
            count.counted.store(size.bytes, Ordering::Relaxed);
            count.added.store(0, Ordering::Relaxed);
        }
    }

    /// Warns of caches with images that were pushed before a configuration named them caches; once, until these change.
    pub(crate) fn warn_of_pushed(&self, names: &[RepositoryName]) {
        let hash = hash_of(names);
        if self.pushed.swap(hash, Ordering::Relaxed) != hash && !names.is_empty() {
            let shown: Vec<&str> = names.iter().take(SHOWN).map(RepositoryName::as_str).collect();
            let more = if names.len() > SHOWN { " and more" } else { "" };
            tracing::warn!(
                "caches have images that did not come from an upstream, which are not evicted, nor counted: {}{more}",
                shown.join(", ")
            );
        }
    }

    /// The bytes that were added until now, before a collection counts.
    pub(crate) fn begin(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.added.load(Ordering::Relaxed)).collect()
    }

    /// Takes over what a collection has counted, for each prefix and for all together, and forgets what was added before it.
    pub(crate) fn counted(&self, sizes: &[CacheSize], before: &[u64], begun: SystemTime) {
        self.counted_ms.fetch_max(millis(begun), Ordering::Relaxed);
        for ((count, size), before) in self.counts.iter().zip(sizes).zip(before) {
            count.counted.store(size.bytes, Ordering::Relaxed);
            let left = |added: u64| Some(added.saturating_sub(*before));
            // It always returns a value, so it cannot fail.
            let _ = count.added.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn caches_exceed_their_bounds_once_enough_was_added() {
        let prefixes = ["a", "b/c"].map(|prefix| prefix.parse().unwrap());
        let stored = StoredBytes::new(CachePrefixes::below(prefixes));
        let add = |name: &str, bytes| stored.add(&name.parse().unwrap(), bytes);
        add("a/x", 60);
        add("b/c/x", 30);
        add("other", 1000);
        assert_eq!((stored.all(), stored.of("a"), stored.of("b/c"), stored.of("other")), (90, 60, 30, 0));
        let bounds = |all, below| Eviction {
            max_bytes: Some(all),
            max_bytes_below: HashMap::from([("a".to_owned(), below)]),
            ..Eviction::default()
        };
        assert!(stored.exceeds(&bounds(89, 100)) && stored.exceeds(&bounds(100, 59)));
        assert!(!stored.exceeds(&bounds(90, 60)) && !stored.exceeds(&Eviction::default()));

        // The collection can evict nothing; what comes while it counts is still new.
        let before = stored.begin();
        add("a/x", 4);
        let size = |prefix: Option<&str>, bytes| CacheSize { prefix: prefix.map(str::to_owned), bytes };
        let sizes = [size(Some("b/c"), 30), size(Some("a"), 60), size(None, 90)];
        stored.counted(&sizes, &before, SystemTime::UNIX_EPOCH);
        assert_eq!((stored.all(), stored.added()), (94, 4));
        assert!(!stored.exceeds(&bounds(89, 100)) && stored.exceeds(&bounds(100, 59)));
        add("a/x", 1);
        assert!(stored.exceeds(&bounds(89, 100)));
    }
}
