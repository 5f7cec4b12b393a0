//! `Store`: what every operation of one driver shares.

use std::path::PathBuf;

use rustix::io::Errno;
use sampan_driver::{DriverError, DriverPath, Operation};

use crate::directories::Directories;
use crate::error::Failure;
use crate::listings::Listings;
use crate::pool::Pool;
use crate::root::Root;

/// The opened root with the threads and new directories that belong to it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: Root,
    pub(crate) directories: Directories,
    pub(crate) listings: Listings,
    pub(crate) pool: Pool,
    /// The thread that writes out what is being uploaded: one, so that uploads do not make a disk seek between them.
    pub(crate) syncs: Pool,
}

impl Store {
    /// Opens the existing directory `root`.
    pub(crate) fn open(root: PathBuf, max_threads: usize) -> Result<Self, Errno> {
        Ok(Self {
            root: Root::open(root)?,
            directories: Directories::default(),
            listings: Listings::default(),
            pool: Pool::new(max_threads),
            syncs: Pool::new(1),
        })
    }

    /// The driver's error for `failure`.
    pub(crate) fn error(&self, operation: Operation, path: &DriverPath, failure: Failure) -> DriverError {
        failure.into_driver_error(operation, path, self.root.path())
    }
}
