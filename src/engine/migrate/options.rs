//! `Options`: the choices of a migration.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Selection;
use crate::caches::CachePrefixes;

/// The choices of a migration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The repositories to migrate. Data that no repository links, and access tokens, go along only with all of them.
    pub selection: Selection,
    /// The patterns that the selection was made of; none for the whole store.
    pub part: Vec<String>,
    /// How many bytes of data are copied a second at most; `None` for no limit.
    pub rate: Option<NonZeroU64>,
    /// Only counts what a pass would copy. Nothing is written.
    pub dry_run: bool,
    /// Adds to what the target holds: nothing is removed there, and what only the target has is no difference.
    pub merge: bool,
    /// What the source lacks was deleted there, however much it is, and data that it has lost are no difference.
    pub confirmed: bool,
    /// The caches among the repositories of the source, whose images may lack what no client has asked for.
    pub caches: CachePrefixes,
    /// How far the migration is.
    pub progress: Arc<Progress>,
}

/// How far a migration is. Other threads may read it.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// How many files were copied.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// How many bytes of data were copied.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
