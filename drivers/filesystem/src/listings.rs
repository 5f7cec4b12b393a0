//! `Listings`: caches the sorted entries of large directories until they change.
//!
//! A directory returns its names unsorted, so a page of a hundred tags out of a hundred thousand requires
//! reading all of them, and so does the next page. A cached listing is kept with the directory's change time,
//! which the kernel updates with every entry and which programs cannot set. Change times have a granularity:
//! a directory that has just changed could change again and look the same, so it is cached only after it has
//! rested for [`SETTLE_DELAY`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::fd::AsFd;
use rustix::io::Errno;
use sampan_driver::DirEntry;

use crate::root::Identity;

/// Longer than the time granularity of any file system in use.
const SETTLE_DELAY: Duration = Duration::from_secs(4);

/// The fewest entries worth caching: reading fewer takes less than a millisecond.
const MIN_ENTRIES: usize = 2000;

/// The most bytes of all listings; about a quarter of a million entries.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The estimated size of an entry without its name.
const ENTRY_BYTES: usize = 48;

/// The cached listings of a store.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    /// The newest first. A plain mutex: held to search a handful.
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: Box<str>,
    state: State,
    entries: Arc<Vec<DirEntry>>,
    size_bytes: usize,
}

/// A directory's identity and change time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    identity: Identity,
    changed: Duration,
}

impl State {
    /// The current state of an open directory.
    pub(crate) fn of(directory: impl AsFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(directory)?;
        let secs = u64::try_from(stat.st_ctime).unwrap_or(0);
        let nanos = Duration::from_nanos(stat.st_ctime_nsec);
        Ok(Self { identity: (stat.st_dev, stat.st_ino), changed: Duration::from_secs(secs) + nanos })
    }

    /// Whether a further change would be noticeable.
    pub(crate) fn is_settled(&self) -> bool {
        let age = SystemTime::now().duration_since(UNIX_EPOCH + self.changed);
        age.is_ok_and(|age| age >= SETTLE_DELAY) // A change time in the future means that clocks differ.
    }
}

impl Listings {
    /// The entries of the directory `key`, if its state is still the same.
    pub(crate) fn get(&self, key: &str, state: &State) -> Option<Arc<Vec<DirEntry>>> {
        let kept = self.kept.lock();
        let found = kept.iter().find(|kept| &*kept.key == key && kept.state == *state)?;
        Some(Arc::clone(&found.entries))
    }

    /// Whether reading the entries again would cost more than caching them.
    pub(crate) fn is_worth_keeping(entries: &[DirEntry]) -> bool {
        entries.len() >= MIN_ENTRIES && size_bytes(entries) <= MAX_BYTES
    }

    /// Caches the sorted entries of the directory `key`, evicting the oldest listings if necessary.
    pub(crate) fn keep(&self, key: &str, state: State, entries: Vec<DirEntry>) -> Arc<Vec<DirEntry>> {
        let entries = Arc::new(entries);
        let size_bytes = size_bytes(&entries);
        let mut kept = self.kept.lock();
        kept.retain(|kept| &*kept.key != key);
        kept.push_front(Kept { key: key.into(), state, entries: Arc::clone(&entries), size_bytes });
        while kept.iter().map(|kept| kept.size_bytes).sum::<usize>() > MAX_BYTES {
            kept.pop_back();
        }
        entries
    }
}

fn size_bytes(entries: &[DirEntry]) -> usize {
    entries.iter().map(|entry| entry.name().len() + ENTRY_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::list::{Listing, list};
    use crate::store::Store;

    fn entries(count: usize) -> Vec<DirEntry> {
        (0..count).map(|number| DirEntry::File(format!("{number:06}"))).collect()
    }

    fn state(changed: Duration) -> State {
        State { identity: (1, 2), changed }
    }

    fn now() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_changed_directory_is_not_found() {
        let listings = Listings::default();
        let kept = listings.keep("a", state(Duration::from_secs(5)), entries(3));
        assert_eq!(listings.get("a", &state(Duration::from_secs(5))), Some(kept));
        assert_eq!(listings.get("a", &state(Duration::from_secs(6))), None);
        assert_eq!(listings.get("b", &state(Duration::from_secs(5))), None);
    }

    #[test]
    fn a_directory_settles() {
        assert!(!state(now()).is_settled());
        assert!(state(now() - SETTLE_DELAY).is_settled());
        assert!(!state(now() + Duration::from_secs(60)).is_settled());
    }

    #[test]
    fn all_listings_together_are_bounded() {
        let listings = Listings::default();
        for key in ["a", "b", "c"] {
            listings.keep(key, state(Duration::ZERO), entries(120_000));
        }
        assert!(listings.get("a", &state(Duration::ZERO)).is_none());
        assert!(listings.get("c", &state(Duration::ZERO)).is_some());
        assert!(!Listings::is_worth_keeping(&entries(MIN_ENTRIES - 1)));
        assert!(!Listings::is_worth_keeping(&entries(400_000)));
    }

    #[test]
    fn a_cached_listing_equals_a_fresh_one_and_is_dropped_on_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        for number in 0..MIN_ENTRIES + 5 {
            fs::write(dir.path().join(format!("{number:06}")), "").unwrap();
        }
        let fresh: Vec<_> = list(&store, "", Some("000010"), None).unwrap().collect();
        assert_eq!(fresh.len(), MIN_ENTRIES - 6);

        // The test cannot set the clock, so it caches the listing as if the directory had rested.
        let directory = store.root.directory("").unwrap();
        let state = State::of(&directory).unwrap();
        store.listings.keep("", state.clone(), entries(MIN_ENTRIES + 5));
        let kept = list(&store, "", Some("000010"), None).unwrap();
        assert!(matches!(kept, Listing::Kept(..)));
        assert_eq!(kept.collect::<Vec<_>>(), fresh);
        assert_eq!(list(&store, "", None, None).unwrap().count(), MIN_ENTRIES + 5);

        fs::remove_file(dir.path().join("000020")).unwrap();
        while State::of(&directory).unwrap() == state {
            // Still the same clock tick: the case for `is_settled`.
            fs::write(dir.path().join("x"), "").unwrap();
            fs::remove_file(dir.path().join("x")).unwrap();
        }
        let changed = list(&store, "", Some("000010"), None).unwrap();
        assert!(matches!(changed, Listing::Own(_)));
        assert_eq!(changed.count(), MIN_ENTRIES - 7);
    }

    #[test]
    fn a_listing_that_omits_unfinished_directories_is_not_cached() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        for number in 0..MIN_ENTRIES {
            fs::create_dir(dir.path().join(format!("{number:06}"))).unwrap();
            fs::write(dir.path().join(format!("{number:06}/link")), "").unwrap();
        }
        fs::create_dir(dir.path().join("unfinished")).unwrap();
        let directory = store.root.directory("").unwrap();
        while !State::of(&directory).unwrap().is_settled() {
            std::thread::yield_now();
        }
        let listed = list(&store, "", None, Some("link")).unwrap();
        assert!(matches!(listed, Listing::Own(_)));
        assert_eq!(listed.count(), MIN_ENTRIES);

        // This does not change the directory itself.
        fs::write(dir.path().join("unfinished/link"), "").unwrap();
        let listed = list(&store, "", None, Some("link")).unwrap();
        assert!(matches!(listed, Listing::Kept(..)));
        assert_eq!(listed.count(), MIN_ENTRIES + 1);
        // The unfiltered listing is cached separately.
        fs::remove_file(dir.path().join("unfinished/link")).unwrap();
        assert_eq!(list(&store, "", None, None).unwrap().count(), MIN_ENTRIES + 1);
    }
}
