//! `Data`: the data of all blobs and manifests.

use sampan_driver::FileInfo;

use super::super::cutoff::Cutoff;
use super::super::interner::{Id, IdSet};

/// The data of all blobs and manifests.
#[derive(Debug, Default)]
pub(in crate::gc) struct Data {
    /// In the order of ids; lengths, or one of the two below.
    sizes: Vec<u64>,
    young: IdSet,
}

/// There are none.
const ABSENT: u64 = u64::MAX;

/// They were seen in a listing.
const UNKNOWN: u64 = u64::MAX - 1;

impl Data {
    /// What a look at them has shown.
    pub(in crate::gc) fn set(&mut self, id: Id, info: Option<&FileInfo>, cutoff: Cutoff) {
        self.put(id, info.map_or(ABSENT, |info| info.size_bytes));
        if info.is_some_and(|info| cutoff.is_young(info.modified)) {
            self.young.insert(id);
        }
    }

    /// That they stand in a listing.
    pub(in crate::gc) fn list(&mut self, id: Id) {
        self.put(id, UNKNOWN);
    }

    /// That they were deleted.
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

    /// Whether they are there, as far as is known.
    pub(in crate::gc) fn is_there(&self, id: Id) -> bool {
        self.get(id) != ABSENT
    }

    /// Whether only a listing has shown them.
    pub(in crate::gc) fn is_unknown(&self, id: Id) -> bool {
        self.get(id) == UNKNOWN
    }

    /// How long they are, if they are there and were looked at.
    pub(in crate::gc) fn size_bytes(&self, id: Id) -> Option<u64> {
        Some(self.get(id)).filter(|size_bytes| !matches!(*size_bytes, ABSENT | UNKNOWN))
    }

    pub(in crate::gc) fn is_young(&self, id: Id) -> bool {
        self.young.contains(id)
    }
}
