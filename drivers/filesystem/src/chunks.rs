//! A file as a stream of chunks, for consumers that need the bytes: TLS, HTTP/2, the collector.
//!
//! Cached content is copied on the calling thread, uncached content read on the pool, one chunk ahead of the consumer; both
//! into reused buffers.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::Result;

use crate::error::Failure;
use crate::page_cache;
use crate::pool::Job;
use crate::pooled_buffer::{BufferSlot, PooledBuffer};
use crate::read::Part;

/// The size of a copy on an async thread, which takes some 30 µs.
const WARM_BYTES: u64 = 256 * 1024;

/// The size of a read on the pool: larger ones cost memory, smaller ones more round trips.
const COLD_BYTES: u64 = 1024 * 1024;

/// The bytes of `part`, read on demand.
pub(crate) fn chunks(part: Part) -> BoxStream<'static, Result<Bytes>> {
    let chunks = Chunks { part, home: Arc::default(), ahead: None };
    stream::try_unfold(chunks, |mut chunks| async move {
        match chunks.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, chunks))),
            Err(failure) => Err(chunks.part.error(failure)),
        }
    })
    .boxed()
}

struct Chunks {
    part: Part,
    home: BufferSlot,
    ahead: Option<Job<Bytes>>,
}

impl Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.part.rest.is_empty() {
            return Ok(None);
        }
        if let Some(job) = &mut self.ahead {
            let result = job.outcome().await;
            self.ahead = None;
            return self.passed_on(result?).map(Some);
        }
        if let Some(chunk) = self.warm() {
            self.part.rest.start += chunk.len() as u64;
            return Ok(Some(chunk));
        }
        let chunk = self.part.store.pool.run(self.cold()).await?;
        self.passed_on(chunk).map(Some)
    }

    /// Counts a chunk that came from the disk, and starts to read the next one if it is not cached either.
    fn passed_on(&mut self, chunk: Bytes) -> Result<Bytes, Failure> {
        self.part.rest.start += chunk.len() as u64;
        let next = self.part.rest.start..self.part.rest.end.min(self.part.rest.start + COLD_BYTES);
        if !next.is_empty() && !page_cache::is_cached(&self.part.file, next) {
            // Readahead is best effort: without a free permit the next call reads by itself.
            self.ahead = self.part.store.pool.try_permit().map(|permit| permit.start(self.cold()));
        }
        Ok(chunk)
    }

    /// The cached bytes at the start of the rest; `None` if there are none.
    fn warm(&self) -> Option<Bytes> {
        let len = usize::try_from(WARM_BYTES.min(self.part.len())).ok()?;
        PooledBuffer::fill(&self.home, len, |buffer| {
            page_cache::fill(&self.part.file, self.part.rest.start, buffer)
        })
    }

    fn cold(&self) -> impl FnOnce() -> Result<Bytes, Failure> + Send + 'static {
        let (home, file, start) = (self.home.clone(), self.part.file.clone(), self.part.rest.start);
        let range = start..start + COLD_BYTES.min(self.part.len());
        move || PooledBuffer::read(&home, &file, range)
    }
}
