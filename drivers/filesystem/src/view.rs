//! `FileView`: a staged file as its readers see it while it is written.
//!
//! The view has a handle of its own, which does not keep the lock of the file: that ends with its writer.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rustix::io::Errno;
use sampan_driver::{DriverPath, FileReader, LocalFile, Operation, Result, StagedView};

use crate::chunks::chunks;
use crate::error::Failure;
use crate::read::Part;
use crate::readahead::windows;
use crate::shared_file::SharedFile;
use crate::staging::Staged;
use crate::store::Store;

/// A staged file, and how much of it is written.
#[derive(Debug)]
pub(crate) struct FileView {
    store: Arc<Store>,
    path: DriverPath,
    opened: SharedFile,
    /// The bytes from the start that are written.
    written: Arc<AtomicU64>,
}

impl FileView {
    /// A view of the new file `staged`.
    pub(crate) fn of(
        store: &Arc<Store>,
        path: &DriverPath,
        staged: &Staged,
    ) -> std::result::Result<Self, Errno> {
        let file = rustix::io::fcntl_dupfd_cloexec(staged.file(), 0)?;
        Ok(Self {
            store: Arc::clone(store),
            path: path.clone(),
            opened: SharedFile::new(Arc::new(File::from(file))),
            written: Arc::clone(staged.written()),
        })
    }
}

#[async_trait]
impl StagedView for FileView {
    fn readable_bytes(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    fn file(&self) -> Option<Arc<File>> {
        Some(self.opened.file())
    }

    async fn reader(&self, range: Range<u64>) -> Result<FileReader> {
        let size_bytes = self.readable_bytes();
        if range.end > size_bytes || range.start > range.end {
            let failure = Failure::RangeInvalid { offset: range.end, size_bytes };
            return Err(self.store.error(Operation::Reader, &self.path, failure));
        }
        let part = Part {
            store: Arc::clone(&self.store),
            path: self.path.clone(),
            file: self.opened.clone(),
            rest: range.clone(),
        };
        let local = LocalFile::new(self.opened.file(), windows(part.clone()));
        Ok(FileReader::of_file(size_bytes, range, chunks(part), local))
    }
}
