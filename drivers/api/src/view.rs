//! `StagedView`: reads a staged file while it is written.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{FileReader, Result};

/// The beginning of a staged file, readable while its writer continues (C21).
///
/// Readable bytes stay readable and the same: while the writer lives, after its `close`, and after its `commit`, even
/// if the published file is replaced or deleted. After `cancel`, `revert` or a drop of the writer, reading may fail,
/// but never yields other bytes.
#[async_trait]
pub trait StagedView: fmt::Debug + Send + Sync + 'static {
    /// The number of bytes from the start of the file that can be read now. It never falls.
    ///
    /// It may be less than [`FileWriter::size`](crate::FileWriter::size), since a writer gathers chunks;
    /// [`FileWriter::flush`](crate::FileWriter::flush) makes the two equal.
    fn readable_bytes(&self) -> u64;

    /// The open local file, if there is one. Then each reader has this file and its windows, and their positions are
    /// the offsets of the bytes.
    fn file(&self) -> Option<Arc<File>> {
        None
    }

    /// Opens `range`, which must end within [`readable_bytes`](Self::readable_bytes); else `RangeInvalid`.
    ///
    /// The reader's [`size_bytes`](FileReader::size_bytes) is what was readable when it was opened.
    async fn reader(&self, range: Range<u64>) -> Result<FileReader>;
}
