//! `MemoryView`: the chunks of a staged file, shared with its readers. Nothing is copied.
//!
//! A view that outlives its file keeps the chunks, which then no longer count against the budget.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::RwLock;
use sampan_driver::{DriverPath, FileReader, Operation, Result, StagedView};

use crate::content::{Chunk, Content, first_piece};
use crate::error::Error;

/// The chunks of a new staged file, as far as they are complete.
#[derive(Debug)]
pub(crate) struct MemoryView {
    path: DriverPath,
    /// A blocking lock: held to copy references only.
    chunks: Arc<RwLock<Vec<Chunk>>>,
}

impl MemoryView {
    pub(crate) fn new(path: DriverPath) -> Self {
        Self { path, chunks: Arc::default() }
    }

    /// Adds the chunks of `content` that are new.
    pub(crate) fn take_over(&self, content: &Content) {
        let mut chunks = self.chunks.write();
        let known = chunks.len();
        chunks.extend_from_slice(content.chunks_after(known));
    }
}

#[async_trait]
impl StagedView for MemoryView {
    fn readable_bytes(&self) -> u64 {
        self.chunks.read().last().map_or(0, |chunk| chunk.end)
    }

    async fn reader(&self, range: Range<u64>) -> Result<FileReader> {
        let size_bytes = self.readable_bytes();
        if range.end > size_bytes || range.start > range.end {
            return Err(Error::RangeInvalid { size_bytes }.at(Operation::Reader, &self.path));
        }
        let first = first_piece(&self.chunks.read(), range.clone());
        if first.len() as u64 == range.end - range.start {
            return Ok(FileReader::of_content(size_bytes, range, first));
        }
        let stream = pieces(self.chunks.clone(), range.clone());
        Ok(FileReader::new(size_bytes, range, stream))
    }
}

fn pieces(chunks: Arc<RwLock<Vec<Chunk>>>, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let next = move |start: u64| {
        let piece = first_piece(&chunks.read(), start..range.end);
        let end = start + piece.len() as u64;
        std::future::ready((!piece.is_empty()).then_some((Ok(piece), end)))
    };
    stream::unfold(range.start, next).boxed()
}
