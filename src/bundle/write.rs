//! Writing: any range of a bundle, in order, from a source of content.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::Future;
use futures::stream::BoxStream;
use sampan_engine::oci::Digest;

use crate::ahead::ReadAhead;
use crate::bundle::zeros;
use crate::header::{END, padding};
use crate::layout::content_header;
use crate::{Bundle, ContentHash, Output, PlannedContent};

/// An error of a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of some content.
pub type ContentStream = BoxStream<'static, Result<Bytes, BoxError>>;

/// A source of content, such as a store.
pub trait ContentSource: Send + Sync {
    /// Opens content from its first byte. The writer compares length and digest.
    fn open(&self, content: &PlannedContent) -> impl Future<Output = Result<ContentStream, BoxError>> + Send;
}

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The source lacks content, or broke.
    #[error("cannot read {0} from the source")]
    Source(Digest, #[source] BoxError),
    /// The source's content is damaged.
    #[error("{expected} is damaged in the source: its content hashes to {actual}")]
    Damaged {
        /// The planned digest.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The source's content has another length.
    #[error("{digest} is damaged in the source: it has {actual} bytes instead of {expected}")]
    Length {
        /// The planned digest.
        digest: Digest,
        /// The planned length in bytes.
        expected: u64,
        /// The length, or more than the planned one.
        actual: u64,
    },
    /// The output failed.
    #[error(transparent)]
    Output(std::io::Error),
}

impl Bundle {
    /// Writes the bytes in `range` of the bundle.
    ///
    /// A content that is partly in the range is read and hashed as a whole.
    ///
    /// # Errors
    ///
    /// When the source lacks content or has other bytes under its digest, or the output fails. The output then has a prefix
    /// of the range, whose last content may be damaged.
    pub async fn write(
        &self,
        range: Range<u64>,
        source: &impl ContentSource,
        output: &mut impl Output,
    ) -> Result<(), WriteError> {
        self.write_from(range, &mut Direct(source), output).await
    }

    /// As [`write`](Self::write), and reads and hashes up to `jobs` contents at a time on the threads of the runtime, each up to
    /// 4 MiB ahead of the output. The bytes are the same.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_ahead<S: ContentSource + 'static>(
        &self,
        range: Range<u64>,
        source: &Arc<S>,
        jobs: usize,
        output: &mut impl Output,
    ) -> Result<(), WriteError> {
        let layout = self.layout();
        let contents = self.plan().contents.iter().enumerate();
        let needed = contents.filter(|(index, content)| overlap(&layout.data(*index, content), &range));
        let mut ahead = ReadAhead::new(source, jobs, needed.map(|(_, content)| content));
        self.write_from(range.clone(), &mut ahead, output).await
    }

    async fn write_from(
        &self,
        range: Range<u64>,
        feed: &mut impl Feed,
        output: &mut impl Output,
    ) -> Result<(), WriteError> {
        let layout = self.layout();
        let mut window = Window { range: range.clone(), offset: 0, output };
        if range.start < layout.head_len() {
            for piece in self.head_pieces() {
                window.pass(piece).await?;
            }
        }
        let first = layout.content_at(range.start).unwrap_or(match range.start < layout.head_len() {
            true => 0,
            false => layout.count(),
        });
        window.offset = layout.header(first);
        for content in &self.plan().contents[first..] {
            if window.offset >= range.end {
                return Ok(());
            }
            window.pass(content_header(content)).await?;
            let data = window.offset..window.offset + content.size_bytes;
            match overlap(&data, &range) {
                true => feed.pass(content, &mut window).await?,
                false => window.offset = data.end,
            }
            window.pass(zeros(padding(content.size_bytes))).await?;
        }
        window.pass(zeros(END)).await
    }
}

/// Whether some of the bytes of a content are in the range.
fn overlap(data: &Range<u64>, range: &Range<u64>) -> bool {
    data.start < range.end && range.start < data.end
}

/// Passes contents to the window, in the order of the bundle: those that have bytes in its range.
pub(crate) trait Feed: Send {
    fn pass(
        &mut self,
        content: &PlannedContent,
        window: &mut Window<'_, impl Output>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// Reads each content when its turn comes.
struct Direct<'a, S>(&'a S);

impl<S: ContentSource> Feed for Direct<'_, S> {
    async fn pass(
        &mut self,
        content: &PlannedContent,
        window: &mut Window<'_, impl Output>,
    ) -> Result<(), WriteError> {
        copy(content, self.0, window).await
    }
}

/// Reads a content to its end, and compares its length and its digest.
pub(crate) async fn copy(
    content: &PlannedContent,
    source: &impl ContentSource,
    output: &mut impl Output,
) -> Result<(), WriteError> {
    let mut stream = source.open(content).await.map_err(|error| failed(content, error))?;
    let (mut hash, mut len) = (ContentHash::new(content.digest.algorithm()), 0u64);
    let wrong_length =
        |actual| WriteError::Length { digest: content.digest.clone(), expected: content.size_bytes, actual };
    while let Some(bytes) = stream.try_next().await.map_err(|error| failed(content, error))? {
        len += bytes.len() as u64;
        if len > content.size_bytes {
            return Err(wrong_length(len));
        }
        hash.update(&bytes);
        output.write(bytes).await.map_err(WriteError::Output)?;
    }
    if len != content.size_bytes {
        return Err(wrong_length(len));
    }
    match hash.finish() {
        actual if actual == content.digest => Ok(()),
        actual => Err(WriteError::Damaged { expected: content.digest.clone(), actual }),
    }
}

/// The error of a content that the source does not give.
pub(crate) fn failed(content: &PlannedContent, error: BoxError) -> WriteError {
    WriteError::Source(content.digest.clone(), error)
}

/// Passes on the part of the bytes that is in the range.
pub(crate) struct Window<'a, O> {
    range: Range<u64>,
    /// The offset of the next byte in the bundle.
    offset: u64,
    output: &'a mut O,
}

impl<O: Output> Window<'_, O> {
    async fn pass(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        self.write(bytes).await.map_err(WriteError::Output)
    }
}

impl<O: Output> Output for Window<'_, O> {
    async fn write(&mut self, mut bytes: Bytes) -> std::io::Result<()> {
        let (start, end) = (self.offset, self.offset + bytes.len() as u64);
        self.offset = end;
        let (from, to) = (start.max(self.range.start), end.min(self.range.end));
        if from >= to {
            return Ok(());
        }
        bytes.truncate((to - start) as usize);
        let bytes = bytes.slice((from - start) as usize..);
        self.output.write(bytes).await
    }
}
