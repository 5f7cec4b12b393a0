//! `FileReader`: a file being read, as a stream, as the open file behind it, or as its bytes.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::Result;

/// A range of a file, ready to be read.
///
/// The range is fixed when the reader is made: what happens to the path afterwards (deleted, replaced) does not show.
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
        Self { size_bytes, range, source: Source::Stream(stream) }
    }

    /// A reader of `range` out of a file of `size_bytes`, whose bytes are at hand: they are `content`.
    pub fn of_content(size_bytes: u64, range: Range<u64>, content: Bytes) -> Self {
        Self { size_bytes, range, source: Source::Content(content) }
    }

    /// A reader of `range` out of a file of `size_bytes`, which can be read from `stream` or, at the same offsets, from `file`.
    ///
    /// The HTTP layer sends such a file without copying it through the process.
    /// Both streams must be lazy: one of them is dropped unread.
    pub fn of_file(
        size_bytes: u64,
        range: Range<u64>,
        stream: BoxStream<'static, Result<Bytes>>,
        file: LocalFile,
    ) -> Self {
        Self { size_bytes, range, source: Source::File(file, stream) }
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
        match &self.source {
            Source::File(local, _) => Some(&local.file),
            Source::Content(_) | Source::Stream(_) => None,
        }
    }

    /// The file and its windows, to be read instead of the stream; or the reader again, if there is no file.
    ///
    /// # Errors
    ///
    /// The reader itself.
    pub fn into_file(self) -> std::result::Result<LocalFile, Self> {
        match self.source {
            Source::File(local, _) => Ok(local),
            source => Err(Self { source, ..self }),
        }
    }

    /// The bytes, if they are at hand; or the reader again.
    ///
    /// # Errors
    ///
    /// The reader itself.
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
