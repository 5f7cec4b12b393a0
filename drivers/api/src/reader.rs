//! `FileReader`: an open file, readable as a stream, as a local file, or as its bytes.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::Result;

/// A range of a file, ready to read.
///
/// The range is fixed when the reader is created: deleting or replacing the path afterwards has no effect on
/// it.
pub struct FileReader {
    size_bytes: u64,
    range: Range<u64>,
    source: Source,
}

enum Source {
    Content(Bytes),
    Stream(BoxStream<'static, Result<Bytes>>),
    File(LocalFile, BoxStream<'static, Result<Bytes>>),
}

/// An open local file, and the part of it to read.
pub struct LocalFile {
    /// The file.
    pub file: Arc<File>,
    /// The bytes of the reader's range as positions in the file, in pieces, in order and none of them empty.
    /// The positions may be shifted against the range, since the content may be a part of a larger file.
    /// Each is yielded when reading it will not block on a disk, so the reader of the stream controls the
    /// readahead.
    pub windows: BoxStream<'static, Result<Range<u64>>>,
    /// The bytes after those of the windows, to read when these have ended: of content whose end is not in the file. Mostly
    /// empty.
    pub rest: BoxStream<'static, Result<Bytes>>,
}

impl LocalFile {
    /// A file that has the whole range.
    pub fn new(file: Arc<File>, windows: BoxStream<'static, Result<Range<u64>>>) -> Self {
        Self { file, windows, rest: stream::empty().boxed() }
    }
}

impl FileReader {
    /// A reader of `range` of a file of `size_bytes`, whose bytes come from `stream`.
    pub fn new(size_bytes: u64, range: Range<u64>, stream: BoxStream<'static, Result<Bytes>>) -> Self {
        Self { size_bytes, range, source: Source::Stream(stream) }
    }

    /// A reader of `range` of a file of `size_bytes`, whose bytes are `content`.
    pub fn of_content(size_bytes: u64, range: Range<u64>, content: Bytes) -> Self {
        Self { size_bytes, range, source: Source::Content(content) }
    }

    /// A reader of `range` of a file of `size_bytes`, readable from `stream` or from the windows of `file`.
    ///
    /// The HTTP layer sends such a file without copying it through the process. Both streams must be lazy:
    /// one of them is dropped unread.
    pub fn of_file(
        size_bytes: u64,
        range: Range<u64>,
        stream: BoxStream<'static, Result<Bytes>>,
        file: LocalFile,
    ) -> Self {
        Self { size_bytes, range, source: Source::File(file, stream) }
    }

    /// The length of the whole file, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The range of the file that the stream yields.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The number of bytes that the stream yields.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether the range is empty.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The open local file, if there is one.
    pub fn file(&self) -> Option<&Arc<File>> {
        match &self.source {
            Source::File(local, _) => Some(&local.file),
            Source::Content(_) | Source::Stream(_) => None,
        }
    }

    /// The file and its windows, to read instead of the stream.
    ///
    /// # Errors
    ///
    /// The reader itself, if it has no local file.
    pub fn into_file(self) -> std::result::Result<LocalFile, Self> {
        match self.source {
            Source::File(local, _) => Ok(local),
            source => Err(Self { source, ..self }),
        }
    }

    /// The bytes, if they are in memory.
    ///
    /// # Errors
    ///
    /// The reader itself, if they are not.
    pub fn into_content(self) -> std::result::Result<Bytes, Self> {
        match self.source {
            Source::Content(content) => Ok(content),
            source => Err(Self { source, ..self }),
        }
    }

    /// The bytes, in chunks of the driver's choice.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        match self.source {
            Source::Content(content) if content.is_empty() => stream::empty().boxed(),
            Source::Content(content) => stream::iter([Ok(content)]).boxed(),
            Source::Stream(stream) | Source::File(_, stream) => stream,
        }
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
