//! `ReadAhead`: contents that tasks of their own read and hash before the writer needs them.
//!
//! The writer takes their bytes in the order of the bundle, so that the output is the same as without.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::write::{Feed, Window, copy, failed};
use crate::{ContentSource, Output, PlannedContent, WriteError};

/// The most bytes of one content that wait for the writer; a longer piece waits alone.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// Contents in the order of the bundle, the first of which are read.
pub(crate) struct ReadAhead<'a, S> {
    source: &'a Arc<S>,
    waiting: VecDeque<&'a PlannedContent>,
    reading: VecDeque<ContentRead>,
    jobs: usize,
}

/// A content being read. Dropping it ends its task.
struct ContentRead {
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// Has one task.
    task: JoinSet<Result<(), WriteError>>,
}

/// Some bytes, and the room that they take until they are written.
struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Hands the bytes of a content to the writer, as far as there is room.
struct BoundedSender {
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
}

impl<'a, S: ContentSource + 'static> ReadAhead<'a, S> {
    /// Will read `contents`, `jobs` of them at a time.
    pub(crate) fn new(
        source: &'a Arc<S>,
        jobs: usize,
        contents: impl Iterator<Item = &'a PlannedContent>,
    ) -> Self {
        Self { source, waiting: contents.collect(), reading: VecDeque::new(), jobs: jobs.max(1) }
    }

    fn begin(&mut self) {
        while self.reading.len() < self.jobs
            && let Some(content) = self.waiting.pop_front()
        {
            let (source, content) = (self.source.clone(), content.clone());
            let (sender, pieces) = mpsc::unbounded_channel();
            let mut handover =
                BoundedSender { pieces: sender, room: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)) };
            let mut task = JoinSet::new();
            task.spawn(async move { copy(&content, &*source, &mut handover).await });
            self.reading.push_back(ContentRead { pieces, task });
        }
    }
}

impl<S: ContentSource + 'static> Feed for ReadAhead<'_, S> {
    async fn pass(
        &mut self,
        content: &PlannedContent,
        window: &mut Window<'_, impl Output>,
    ) -> Result<(), WriteError> {
        self.begin();
        let missing = || failed(content, io::Error::other("it was not read ahead").into());
        let mut reading = self.reading.pop_front().ok_or_else(missing)?;
        while let Some(piece) = reading.pieces.recv().await {
            window.write(piece.bytes).await.map_err(WriteError::Output)?;
        }
        // The pieces end with the task, which compares length and digest at last.
        let ended = reading.task.join_next().await.ok_or_else(missing)?;
        ended.map_err(|error| failed(content, error.into()))?
    }
}

impl Output for BoundedSender {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let len = bytes.len().min(MAX_QUEUED_BYTES) as u32;
        let room = self.room.clone().acquire_many_owned(len).await.map_err(io::Error::other)?;
        let piece = Piece { bytes, _room: room };
        self.pieces.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
