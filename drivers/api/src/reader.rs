//! `FileReader`: a file being read, as a stream or as the open file behind it.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Result;

/// A range of a file, ready to be read.
///
/// The range is fixed when the reader is made: what happens to the path afterwards (deleted, replaced) does not show.
pub struct FileReader {
    size_bytes: u64,
    range: Range<u64>,
    file: Option<LocalFile>,
    stream: BoxStream<'static, Result<Bytes>>,
}

/// An open file of this machine, and the part of it that is to be read.
pub struct LocalFile {
    /// The file.
    pub file: Arc<File>,
    /// The range of the reader in pieces, in their order and none of them empty.
    /// Each comes when reading it will not wait for a disk any more, so a stream that is asked late reads ahead late.
    pub windows: BoxStream<'static, Result<Range<u64>>>,
}

impl FileReader {
    /// A reader of `range` out of a file of `size_bytes`, whose bytes come from `stream`.
    pub fn new(size_bytes: u64, range: Range<u64>, stream: BoxStream<'static, Result<Bytes>>) -> Self {
        Self { size_bytes, range, file: None, stream }
    }

    /// The same reader, whose range can also be read from `file` at the same offsets.
    ///
    /// The HTTP layer sends such a file without copying it through the process.
    /// Both streams must be lazy then: one of them is dropped unread.
    #[must_use]
    pub fn with_file(mut self, file: LocalFile) -> Self {
        self.file = Some(file);
        self
    }

    /// The length of the whole file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes of the file that the stream yields.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// How many bytes the stream yields.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether the range is empty.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The open local file behind the stream, if there is one.
    pub fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref().map(|local| &local.file)
    }

    /// The file and its windows, to be read instead of the stream; or the reader again, if there is no file.
    ///
    /// # Errors
    ///
    /// The reader itself.
    pub fn into_file(mut self) -> std::result::Result<LocalFile, Self> {
        self.file.take().ok_or(self)
    }

    /// The bytes, in chunks of the driver's choice.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        self.stream
    }
}

impl fmt::Debug for LocalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .field("file", &self.file())
            .finish_non_exhaustive()
    }
}
