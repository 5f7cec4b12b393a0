//! `Spool`: a file without a name that holds bytes of a fill for its readers, beside a store that cannot show them.
//!
//! It vanishes with its last handle, also when the process dies.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use sampan_driver::{DriverError, DriverPath, ErrorKind, FileReader, Operation};

use sampan_host::blocking::on_blocking_pool;

/// The bytes of a fill from `start` on.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    /// The offset in the blob of the file's first byte.
    start: u64,
    written_bytes: AtomicU64,
}

impl Spool {
    /// The offset of the first byte that cannot be read yet.
    pub(super) fn readable_end(&self) -> u64 {
        self.start + self.written_bytes.load(Ordering::Acquire)
    }

    /// A reader of `range`, which must be readable.
    pub(super) fn reader(self: &Arc<Self>, range: Range<u64>) -> FileReader {
        let (spool, size_bytes) = (self.clone(), self.readable_end());
        let chunks = stream::try_unfold(range.clone(), move |rest| {
            let spool = spool.clone();
            async move {
                if rest.is_empty() {
                    return Ok(None);
                }
                let end = rest.end.min(rest.start + BUFFER_BYTES as u64);
                let chunk = on_blocking_pool(move || spool.read(rest.start..end)).await.map_err(in_stream)?;
                Ok(Some((chunk, end..rest.end)))
            }
        });
        FileReader::new(size_bytes, range, chunks.boxed())
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut buffer = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut buffer, range.start - self.start)?;
        Ok(buffer.into())
    }
}

/// Writes a spool. It gathers small chunks.
#[derive(Debug)]
pub(super) struct SpoolWriter {
    spool: Arc<Spool>,
    queue: Vec<Bytes>,
    queued_bytes: usize,
}

impl SpoolWriter {
    /// Makes an empty spool in `directory` for the bytes from `start` on.
    pub(super) async fn open(directory: PathBuf, start: u64) -> io::Result<Self> {
        let file = on_blocking_pool(move || tempfile::tempfile_in(directory)).await?;
        let spool = Arc::new(Spool { file, start, written_bytes: AtomicU64::new(0) });
        Ok(Self { spool, queue: Vec::new(), queued_bytes: 0 })
    }

    pub(super) fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Accepts `chunk`, which becomes readable now or later.
    pub(super) async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.queued_bytes += chunk.len();
        self.queue.push(chunk);
        if self.queued_bytes < BUFFER_BYTES && self.queue.len() < MAX_CHUNKS {
            return Ok(());
        }
        self.flush().await
    }

    /// Makes all accepted bytes readable. After an error the spool must not be written any more.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        self.queued_bytes = 0;
        let (spool, chunks) = (self.spool.clone(), std::mem::take(&mut self.queue));
        on_blocking_pool(move || {
            let mut offset = spool.written_bytes.load(Ordering::Acquire);
            for chunk in chunks {
                spool.file.write_all_at(&chunk, offset)?;
                offset += chunk.len() as u64;
            }
            spool.written_bytes.store(offset, Ordering::Release);
            Ok(())
        })
        .await
    }
}

fn in_stream(error: io::Error) -> DriverError {
    DriverError::new(ErrorKind::Other, "spool", Operation::Read, &DriverPath::root()).with_source(error)
}

/// The size of a write and of a read.
const BUFFER_BYTES: usize = 256 << 10;

/// The most chunks that a spool gathers, so that tiny ones stay few.
const MAX_CHUNKS: usize = 1024;

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_spool_shows_what_was_flushed_from_its_start() {
        let mut writer = SpoolWriter::open(std::env::temp_dir(), 1000).await.unwrap();
        writer.write(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(writer.spool().readable_end(), 1000);
        writer.flush().await.unwrap();
        writer.write(vec![b'd'; BUFFER_BYTES].into()).await.unwrap();
        let end = 1003 + BUFFER_BYTES as u64;
        assert_eq!(writer.spool().readable_end(), end);
        let chunks: Vec<_> = writer.spool().reader(1001..end).into_stream().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), [b"bc", &vec![b'd'; BUFFER_BYTES][..]].concat());
    }
}
