//! `UseTable`: when each manifest of a cache was last used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::record_kind::RecordKind;
use crate::Clock;
use crate::oci::{Digest, RepositoryName, Tag};

/// When each manifest of a cache was last used, to the hour.
///
/// A row takes 21 bytes in memory and 20 in its file, whatever the names are, and there are at most 458,752 rows: 11 MiB. Of
/// too many, those used longest ago go.
///
/// Each process has a table of its own, [saves](Self::save) it now and then, and [merges](Self::load_all) those of the others.
/// A lost table costs a worse choice of what to evict, nothing else.
#[derive(Debug)]
pub struct UseTable {
    pub(super) kind: RecordKind,
    /// The name of this table's file.
    pub(super) replica: Uuid,
    pub(super) clock: Clock,
    /// By the first byte of the key. Plain mutexes: each is held for a look-up, or to copy one shard.
    shards: Vec<Mutex<Shard>>,
    /// When the recording began, by whichever table began first.
    since: AtomicU32,
    /// Whether the table has changed since it was saved.
    pub(super) is_changed: AtomicBool,
    /// The files that were merged, and when each was written. A plain mutex: held to take or change the map.
    pub(super) merged: Mutex<HashMap<Uuid, SystemTime>>,
}

/// The first half of the sha256 digest of `<repository>@<digest>`.
pub(super) type Key = [u8; 16];

/// The last use, in units of the [`RecordKind`] since 1970.
type Shard = HashMap<Key, u32>;

const SHARDS: usize = 16;

/// The most that a map of 32,768 places takes without growing.
const MAX_ROWS_IN_SHARD: usize = 28_672;

/// The most rows of a table.
pub(super) const MAX_ROWS: usize = SHARDS * MAX_ROWS_IN_SHARD;

impl UseTable {
    /// Creates an empty table; the recording begins now.
    pub fn new(clock: Clock) -> Self {
        Self::of_kind(RecordKind::Uses, clock)
    }

    pub(super) fn of_kind(kind: RecordKind, clock: Clock) -> Self {
        let since = AtomicU32::new(kind.units_of(clock.now()));
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let merged = Mutex::default();
        // A record without uses says since when there were none.
        let is_changed = AtomicBool::new(kind == RecordKind::Uses);
        Self { kind, replica: Uuid::new_v4(), clock, shards, since, is_changed, merged }
    }

    /// The name of this process in the store.
    pub(crate) fn replica(&self) -> Uuid {
        self.replica
    }

    /// Records that the manifest was used now. The digest is the one that its data are stored under.
    pub fn note_used(&self, name: &RepositoryName, digest: &Digest) {
        self.raise(key(name.as_str(), digest), hour_of(self.clock.now()));
    }

    /// When the manifest was last used, to the hour; `None` if that is not recorded.
    pub fn last_used(&self, name: &RepositoryName, digest: &Digest) -> Option<SystemTime> {
        self.hour(name, digest).map(time_of)
    }

    /// The same, in hours since 1970.
    pub(crate) fn hour(&self, name: &RepositoryName, digest: &Digest) -> Option<u32> {
        self.row(&key(name.as_str(), digest))
    }

    pub(super) fn row(&self, key: &Key) -> Option<u32> {
        self.shard(key).lock().get(key).copied()
    }

    /// When the recording began, in any process: a manifest without a row was not used since, or the row had to go.
    pub fn since(&self) -> SystemTime {
        self.kind.time_of(self.since.load(Ordering::Relaxed))
    }

    /// How many manifests have a row.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether no manifest has a row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records a use in this hour, or second by the kind. One in the future comes from a wrong clock, and counts as now.
    pub(super) fn raise(&self, key: Key, hour: u32) {
        let hour = hour.min(self.kind.units_of(self.clock.now()));
        let mut shard = self.shard(&key).lock();
        match shard.get_mut(&key) {
            Some(row) if *row >= hour => return,
            Some(row) => *row = hour,
            None => {
                if shard.len() >= MAX_ROWS_IN_SHARD {
                    forget_oldest(&mut shard);
                }
                shard.insert(key, hour);
            }
        }
        drop(shard);
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Takes an earlier beginning of the recording from another table.
    pub(super) fn begin_at(&self, hour: u32) {
        if self.since.fetch_min(hour, Ordering::Relaxed) > hour {
            self.is_changed.store(true, Ordering::Relaxed);
        }
    }

    /// When the recording began, and a copy of all rows.
    pub(super) fn copy(&self) -> (u32, Vec<(Key, u32)>) {
        let mut rows = Vec::new();
        for shard in &self.shards {
            rows.extend(shard.lock().iter().map(|(key, hour)| (*key, *hour)));
        }
        (self.since.load(Ordering::Relaxed), rows)
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[usize::from(key[0]) % SHARDS]
    }
}

/// Removes an eighth of the rows, those used longest ago.
fn forget_oldest(shard: &mut Shard) {
    let count = shard.len() / 8;
    let mut hours: Vec<u32> = shard.values().copied().collect();
    let (earlier, last, _) = hours.select_nth_unstable(count);
    let last = *last;
    // Of those used in the last hour that goes, not all do.
    let mut left = count - earlier.iter().filter(|hour| **hour < last).count();
    shard.retain(|_, hour| {
        let goes_as_well = *hour == last && left > 0;
        left -= usize::from(goes_as_well);
        *hour > last || (*hour == last && !goes_as_well)
    });
}

/// The key of a manifest, whose repository may have any name.
pub(super) fn key(name: &str, digest: &Digest) -> Key {
    let mut hash = Sha256::new();
    for part in [name, "@", digest.algorithm().as_str(), ":", digest.hex()] {
        hash.update(part);
    }
    shortened(&hash.finalize().into())
}

/// The key of a tag.
pub(super) fn key_of_tag(name: &str, tag: &Tag) -> Key {
    let mut hash = Sha256::new();
    for part in [name, ":", tag.as_str()] {
        hash.update(part);
    }
    shortened(&hash.finalize().into())
}

pub(super) fn shortened(hash: &[u8; 32]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash[..16]);
    key
}

/// The hour since 1970 that a time is in.
pub(crate) fn hour_of(time: SystemTime) -> u32 {
    RecordKind::Uses.units_of(time)
}

/// The beginning of an hour.
fn time_of(hour: u32) -> SystemTime {
    RecordKind::Uses.time_of(hour)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// A table whose clock shows the hour that the second value has.
    fn table() -> (UseTable, Arc<AtomicU64>) {
        let hour = Arc::new(AtomicU64::new(1000));
        let shown = hour.clone();
        let hours = move || u32::try_from(shown.load(Ordering::Relaxed)).unwrap();
        (UseTable::new(Clock::new(move || time_of(hours()))), hour)
    }

    fn digest(number: u32) -> Digest {
        Digest::sha256_of(&number.to_le_bytes())
    }

    #[test]
    fn each_repository_has_its_own_last_use_of_a_manifest() {
        let (table, hour) = table();
        let [a, b]: [RepositoryName; 2] = ["a/b", "a/c"].map(|name| name.parse().unwrap());
        table.note_used(&a, &digest(1));
        hour.store(1007, Ordering::Relaxed);
        table.note_used(&b, &digest(1));
        assert_eq!(table.last_used(&a, &digest(1)), Some(time_of(1000)));
        assert_eq!(table.last_used(&b, &digest(1)), Some(time_of(1007)));
        assert_eq!(table.last_used(&a, &digest(2)), None);
        table.note_used(&a, &digest(1));
        assert_eq!(table.last_used(&a, &digest(1)), Some(time_of(1007)));
        assert_eq!((table.len(), table.since()), (2, time_of(1000)));
    }

    #[test]
    fn a_full_table_forgets_what_was_used_longest_ago() {
        let (table, hour) = table();
        hour.store(2000, Ordering::Relaxed);
        let shard_key = |number: u32| {
            let mut key = Key::default();
            key[1..5].copy_from_slice(&number.to_le_bytes());
            key
        };
        let count = MAX_ROWS_IN_SHARD as u32 / 4 * 5;
        (0..count).for_each(|number| table.raise(shard_key(number), 1000 + number / 1000));
        let len = table.len();
        assert!(len <= MAX_ROWS_IN_SHARD && len > MAX_ROWS_IN_SHARD / 8 * 7, "{len}");
        let (_, rows) = table.copy();
        let rows: HashMap<Key, u32> = rows.into_iter().collect();
        let gone: Vec<u32> = (0..count).filter(|number| !rows.contains_key(&shard_key(*number))).collect();
        // All of the hours before the last that went, and some of that.
        let last = gone.iter().max().unwrap() / 1000 * 1000;
        assert_eq!(gone.iter().filter(|number| **number < last).count(), last as usize);
    }
}
