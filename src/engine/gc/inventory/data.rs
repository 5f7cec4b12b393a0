//! `Data`: the data of all blobs and manifests.

use sampan_driver::FileInfo;

use super::super::cutoff::Cutoff;
use super::super::interner::{Id, IdSet};

/// The data of all blobs and manifests.
#[derive(Debug, Default)]
pub(in crate::gc) struct Data {
    /// Sizes in the order of ids, or one of the two constants below.
    sizes: Vec<u64>,
    young: IdSet,
    /// Those that are young even by the grace period of caches.
    young_in_cache: IdSet,
}

/// The data do not exist.
const ABSENT: u64 = u64::MAX;

/// Only a listing has shown the data.
const UNKNOWN: u64 = u64::MAX - 1;

impl Data {
    /// Records the result of a stat of the data.
    pub(in crate::gc) fn set(&mut self, id: Id, info: Option<&FileInfo>, cutoff: Cutoff) {
        self.put(id, info.map_or(ABSENT, |info| info.size_bytes));
        if info.is_some_and(|info| cutoff.is_young(info.modified)) {
            self.young.insert(id);
        }
        if info.is_some_and(|info| cutoff.is_young_in_cache(info.modified)) {
            self.young_in_cache.insert(id);
        }
    }

    /// Records that a listing has shown the data.
    pub(in crate::gc) fn list(&mut self, id: Id) {
        self.put(id, UNKNOWN);
    }

    /// Records that the data do not exist any more.
    pub(in crate::gc) fn remove(&mut self, id: Id) {
        self.put(id, ABSENT);
    }

    fn put(&mut self, id: Id, size_bytes: u64) {
        if id.index() >= self.sizes.len() {
            self.sizes.resize(id.index() + 1, ABSENT);
        }
        self.sizes[id.index()] = size_bytes;
    }

    fn get(&self, id: Id) -> u64 {
        self.sizes.get(id.index()).copied().unwrap_or(ABSENT)
    }

    /// Whether no data exist at all, as far as is known.
    pub(in crate::gc) fn is_empty(&self) -> bool {
        self.sizes.iter().all(|size_bytes| *size_bytes == ABSENT)
    }

    /// Whether the data exist, as far as is known.
    pub(in crate::gc) fn is_there(&self, id: Id) -> bool {
        self.get(id) != ABSENT
    }

    /// Whether only a listing has shown the data.
    pub(in crate::gc) fn is_unknown(&self, id: Id) -> bool {
        self.get(id) == UNKNOWN
    }

    /// Size of the data, if they exist and a stat has shown it.
    pub(in crate::gc) fn size_bytes(&self, id: Id) -> Option<u64> {
        Some(self.get(id)).filter(|size_bytes| !matches!(*size_bytes, ABSENT | UNKNOWN))
    }

    pub(in crate::gc) fn is_young(&self, id: Id) -> bool {
        self.young.contains(id)
    }

    /// Whether the data are too young for deletion if nothing but a cache has linked them.
    pub(in crate::gc) fn is_young_in_cache(&self, id: Id) -> bool {
        self.young_in_cache.contains(id)
    }
}
