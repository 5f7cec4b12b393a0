//! `Store`: what every operation of one driver shares.

use std::path::PathBuf;

use rustix::io::Errno;
use sampan_driver::{DriverError, DriverPath, Operation};

use crate::directories::Directories;
use crate::error::Failure;
use crate::listings::Listings;
use crate::notes::Notes;
use crate::pool::Pool;
use crate::root::Root;
use crate::sync_rule;
use crate::trouble::{Ends, Trouble};

/// The opened root with the threads and new directories that belong to it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: Root,
    pub(crate) directories: Directories,
    pub(crate) listings: Listings,
    pub(crate) notes: Notes,
    pub(crate) pool: Pool,
    pub(crate) trouble: Trouble,
    /// The thread that writes out what is being uploaded: one, so that uploads do not make a disk seek between them.
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
            trouble: Trouble::default(),
            syncs: Pool::new(1),
        })
    }

    /// Passes when the store may be written to.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        self.trouble.check(&self.root)
    }

    /// The driver's error for `failure`, of which the store takes note if it says that the disk cannot be trusted.
    pub(crate) fn error(&self, operation: Operation, path: &DriverPath, failure: Failure) -> DriverError {
        match &failure {
            Failure::NotOnDisk(Errno::NOSPC | Errno::DQUOT) => {}
            Failure::NotOnDisk(errno) => {
                self.trouble.note(format!("a file could not be written to the disk: {errno}"), Ends::ByProbe);
            }
            Failure::EntryNotOnDisk { errno, ends } => {
                let remedy = match ends {
                    Ends::ByProbe => "",
                    Ends::ByRestart => "; check the disk, and restart the registry",
                };
                let reason = format!("a directory could not be written to the disk: {errno}{remedy}");
                self.trouble.note(reason, *ends);
            }
            Failure::Os(Errno::ROFS) => {
                let reason = "its file system is mounted read-only; remount it writable";
                self.trouble.note(reason.to_owned(), Ends::ByProbe);
            }
            _ => {}
        }
        failure.into_driver_error(operation, path, self.root.path())
    }
}
