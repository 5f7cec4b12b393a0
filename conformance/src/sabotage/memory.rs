//! `Memory`: the state that a lie needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::{DriverPath, StagedView};

/// The state that the clones of a sabotaged driver and its writers share.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// A std lock, held for one look-up at a time.
    notes: Mutex<Notes>,
    pub(super) was_written_to: AtomicBool,
    pub(super) open_readers: AtomicUsize,
    pub(super) open_writers: AtomicUsize,
    changes_under_way: AtomicUsize,
}

/// Notes by path.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Paths at which a file ever existed.
    pub(super) ever: HashSet<DriverPath>,
    /// Paths with an opened writer that has not ended yet.
    pub(super) unfinished: HashSet<DriverPath>,
    /// The times that the driver reports instead of the true ones.
    pub(super) times: HashMap<DriverPath, SystemTime>,
    /// When each staged file was begun.
    pub(super) begun: HashMap<DriverPath, SystemTime>,
    /// The size of a staged file as its last writer left it.
    pub(super) sizes: HashMap<DriverPath, u64>,
    /// The last note for the file staged at a path.
    pub(super) texts: HashMap<DriverPath, Bytes>,
    /// The view of the file staged last at a path.
    pub(super) views: HashMap<DriverPath, Arc<dyn StagedView>>,
    pub(super) cache: HashMap<DriverPath, Bytes>,
    /// The file that was published last.
    pub(super) newest: Option<DriverPath>,
}

impl Memory {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock()
    }

    /// Marks a change as under way until the guard is dropped; `None` when one is already.
    pub(super) fn change(&self) -> Option<Change<'_>> {
        let change = Change(self);
        (self.changes_under_way.fetch_add(1, Ordering::SeqCst) == 0).then_some(change)
    }
}

/// A change under way.
pub(super) struct Change<'a>(&'a Memory);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.changes_under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
