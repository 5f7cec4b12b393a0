//! `Store`: state shared by all operations of a driver.

use std::path::PathBuf;

use rustix::io::Errno;
use sampan_driver::{DriverError, DriverPath, Operation};

use crate::directories::Directories;
use crate::disk_problem::{DiskProblem, EndsBy};
use crate::error::Failure;
use crate::listings::Listings;
use crate::notes::Notes;
use crate::pool::Pool;
use crate::root::Root;
use crate::sync_rule;

/// The opened root with its threads and new directories.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: Root,
    pub(crate) directories: Directories,
    pub(crate) listings: Listings,
    pub(crate) notes: Notes,
    pub(crate) pool: Pool,
    pub(crate) trouble: DiskProblem,
    /// The thread for writeback of uploads: one, so that uploads do not make a disk seek between them.
    pub(crate) syncs: Pool,
}

impl Store {
    /// Opens the existing directory `root`.
    pub(crate) fn open(root: PathBuf, max_threads: usize) -> Result<Self, Errno> {
        let root = Root::open(root)?;
        Ok(Self {
            directories: Directories::new(sync_rule::of(&root)),
            root,
            listings: Listings::default(),
            notes: Notes::default(),
            pool: Pool::new(max_threads),
            trouble: DiskProblem::default(),
            syncs: Pool::new(1),
        })
    }

    /// Succeeds if the store accepts writes.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        self.trouble.check(&self.root)
    }

    /// The driver's error for `failure`. If the disk is no longer reliable, the store records that.
    pub(crate) fn error(&self, operation: Operation, path: &DriverPath, failure: Failure) -> DriverError {
        match &failure {
            Failure::NotOnDisk(Errno::NOSPC | Errno::DQUOT) => {}
            Failure::NotOnDisk(errno) => {
                self.trouble.note(format!("writing a file to the disk failed: {errno}"), EndsBy::ByProbe);
            }
            Failure::EntryNotOnDisk { errno, ends } => {
                let remedy = match ends {
                    EndsBy::ByProbe => "",
                    EndsBy::ByRestart => "; check the disk, and restart the registry",
                };
                let reason = format!("writing a directory to the disk failed: {errno}{remedy}");
                self.trouble.note(reason, *ends);
            }
            Failure::Os(Errno::ROFS) => {
                let reason = "its file system is mounted read-only; remount it writable";
                self.trouble.note(reason.to_owned(), EndsBy::ByProbe);
            }
            _ => {}
        }
        failure.into_driver_error(operation, path, self.root.path())
    }
}
