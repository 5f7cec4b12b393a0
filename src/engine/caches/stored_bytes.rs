//! `StoredBytes`: how many bytes the caches store, between two collections.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

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
    /// A plain mutex, held to compare and reserve: transfers that begin together count for each other.
    reserving: Mutex<()>,
    /// Whether the last collection made room for what was wanted, as far as it could.
    has_made_room: AtomicBool,
}

/// The shortest time from one collection for the bounds to the next.
const MIN_REST: Duration = Duration::from_secs(5 * 60);

/// How many repositories a warning names.
const MAX_NAMED: usize = 10;

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
    /// Of transfers that run.
    reserved: AtomicU64,
    /// The longest content since that which had no room.
    wanted: AtomicU64,
}

/// The most bytes that caches with a bound store: a twentieth more, which the next collection frees.
pub(crate) fn with_margin(bound: u64) -> u64 {
    bound.saturating_add(bound / 20)
}

impl StoredBytes {
    /// Creates the counts of caches that no collection has counted yet.
    pub(crate) fn new(prefixes: CachePrefixes) -> Self {
        let counts = (0..=prefixes.iter().count()).map(|_| Count::default()).collect();
        Self {
            prefixes,
            counts,
            counted_ms: AtomicU64::new(0),
            pushed: AtomicU64::new(hash_of(&[])),
            reserving: Mutex::default(),
            has_made_room: AtomicBool::new(false),
        }
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

    /// Whether content had no room since the last collection, which can make it. Content that is longer than a bound never has
    /// room.
    pub fn wants_room(&self) -> bool {
        self.counts.iter().any(|count| count.wanted.load(Ordering::Relaxed) > 0)
    }

    /// The least time from one collection for the bounds to the next. If the last one made what room it could, the next waits until
    /// content that was young, which is not evicted, is young no more.
    pub fn rest(&self, bounds: &Eviction) -> Duration {
        match self.exceeds(bounds) || !self.has_made_room.load(Ordering::Relaxed) {
            true => MIN_REST,
            false => bounds.grace.max(MIN_REST),
        }
    }

    /// Reserves so many bytes for content that comes into the repository, if its caches may store them: up to 105 % of their
    /// bounds. Otherwise the next collection makes room for it.
    pub(crate) fn reserve(&self, name: &RepositoryName, bytes: u64, bounds: &Eviction) -> bool {
        let Some(index) = self.prefixes.index_of(name) else { return true };
        let below =
            self.prefixes.iter().nth(index).and_then(|prefix| bounds.max_bytes_below.get(prefix).copied());
        let bounded = [(&self.counts[index], below), (self.all_counts(), bounds.max_bytes)];
        let _turn = self.reserving.lock();
        let mut has_room = true;
        for (count, bound) in bounded {
            let Some(bound) = bound else { continue };
            let reserved = count.reserved.load(Ordering::Relaxed);
            if count.bytes().saturating_add(reserved).saturating_add(bytes) > with_margin(bound) {
                has_room = false;
                let wanted = if bytes <= bound { bytes } else { 0 };
                count.wanted.fetch_max(wanted, Ordering::Relaxed);
            }
        }
        if has_room {
            bounded.iter().for_each(|(count, _)| _ = count.reserved.fetch_add(bytes, Ordering::Relaxed));
        }
        has_room
    }

    /// Gives back what was reserved.
    pub(crate) fn release(&self, name: &RepositoryName, bytes: u64) {
        let Some(index) = self.prefixes.index_of(name) else { return };
        for count in [&self.counts[index], self.all_counts()] {
            count.reserved.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The length of the content for which a collection makes room in the caches below a prefix, by its position, or in all
    /// together.
    pub(crate) fn wanted(&self, prefix: Option<usize>) -> u64 {
        let count = prefix.map_or(self.all_counts(), |prefix| &self.counts[prefix]);
        count.wanted.load(Ordering::Relaxed)
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
            let shown: Vec<&str> = names.iter().take(MAX_NAMED).map(RepositoryName::as_str).collect();
            let more = if names.len() > MAX_NAMED { " and more" } else { "" };
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
        self.has_made_room.store(self.wants_room() && !sizes.is_empty(), Ordering::Relaxed);
        for ((count, size), before) in self.counts.iter().zip(sizes).zip(before) {
            count.wanted.store(0, Ordering::Relaxed);
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

    #[test]
    fn transfers_that_run_count_for_the_bound_and_what_has_no_room_is_wanted() {
        let stored = StoredBytes::new(CachePrefixes::below(["a".parse().unwrap()]));
        let name = "a/x".parse().unwrap();
        let hour = Duration::from_secs(3600);
        let bounds = Eviction { max_bytes: Some(100), grace: hour, ..Eviction::default() };
        let reserve = |bytes| stored.reserve(&name, bytes, &bounds);
        assert!(reserve(60) && !reserve(46) && stored.wants_room());
        assert_eq!(stored.rest(&bounds), MIN_REST);
        assert_eq!((stored.wanted(Some(0)), stored.wanted(None)), (0, 46));
        assert!(reserve(45) && !reserve(1));
        // One has failed, and the other is stored.
        stored.release(&name, 45);
        stored.add(&name, 60);
        stored.release(&name, 60);
        assert!(reserve(45));
        stored.release(&name, 45);
        assert!(stored.reserve(&"b".parse().unwrap(), 1000, &bounds));

        let size = |prefix: Option<&str>| CacheSize { prefix: prefix.map(str::to_owned), bytes: 50 };
        stored.counted(&[size(Some("a")), size(None)], &stored.begin(), SystemTime::UNIX_EPOCH);
        assert!(!stored.wants_room());
        assert_eq!(stored.rest(&bounds), hour);
        stored.add(&name, 60);
        assert_eq!(stored.rest(&bounds), MIN_REST, "beyond the bound");
        // It never has room.
        assert!(!reserve(101) && !stored.wants_room());
    }
}
