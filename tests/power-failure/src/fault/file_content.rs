//! `FileContent`: the bytes of a file in the page cache and on the disk.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

const PAGE: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct FileContent {
    /// The content that reads see: the page cache.
    pub(crate) cached: Vec<u8>,
    durable: Vec<u8>,
    /// Pages of the cache that the disk does not have and that a sync will write.
    dirty: BTreeSet<usize>,
}

impl FileContent {
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        let first = offset.min(self.cached.len());
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(data);
        self.dirty.extend(first / PAGE..end.div_ceil(PAGE));
    }

    pub(super) fn truncate(&mut self, size: usize) {
        self.cached.resize(size, 0);
        self.dirty.insert(size / PAGE);
    }

    /// Whether a sync would write anything.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.durable.len() != self.cached.len()
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            self.write_page(page);
        }
    }

    /// A sync that fails. As in the kernel, the pages stay in the cache and count as clean: no later sync writes them.
    pub(super) fn fail_sync(&mut self) {
        // The new size comes with the journal; the pages read as zeros.
        self.durable.resize(self.cached.len(), 0);
        self.dirty.clear();
    }

    /// Writes what can be written, and reads it back from the disk.
    pub(super) fn remount(&mut self) {
        if !self.dirty.is_empty() {
            self.sync();
        }
        self.cached = self.durable.clone();
    }

    /// The state after a power failure; with `luck`, also some unsynced pages.
    pub(super) fn cut_power(&mut self, luck: Option<&mut StdRng>) {
        if let Some(rng) = luck {
            self.keep_some(rng);
        }
        self.dirty.clear();
        self.cached = self.durable.clone();
    }

    fn write_page(&mut self, page: usize) {
        let start = (page * PAGE).min(self.cached.len()).min(self.durable.len());
        let end = ((page + 1) * PAGE).min(self.cached.len()).min(self.durable.len());
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    fn keep_some(&mut self, rng: &mut StdRng) {
        if self.dirty.is_empty() {
            return;
        }
        if rng.random_bool(0.5) {
            self.durable.resize(self.cached.len(), 0);
        }
        for page in self.dirty.clone() {
            if rng.random_bool(0.5) {
                self.write_page(page);
            }
        }
    }
}
