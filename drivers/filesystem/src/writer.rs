//! `FilesystemWriter`: gathers chunks and writes them while the next ones arrive.
//!
//! At most one write is running and one batch is gathering, so a writer holds about twice [`BATCH_BYTES`] of
//! chunks, and the caller can hash the next batch while the last one goes to the page cache. A dropped writer
//! may leave a write running; the next writer of the file waits for its end (see [`crate::staging`]).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, Operation, Result, StagedView, WriteMode};

use crate::error::Failure;
use crate::notes::Note;
use crate::pool::Job;
use crate::publish;
use crate::staging::{self, Staged, WriterClaim};
use crate::store::Store;
use crate::view::FileView;
use crate::writeback::Writeback;

/// As much as one read of a busy connection yields. Twice as much saves nothing and holds more memory; with
/// half of it, read and written, a push takes a tenth more processor time (`tests/benches/README.md`).
const BATCH_BYTES: usize = 256 * 1024;

/// The most chunks that one vectored write accepts (`IOV_MAX`).
const BATCH_CHUNKS: usize = 1024;

/// Writes a staged file.
#[derive(Debug)]
pub(crate) struct FilesystemWriter {
    store: Arc<Store>,
    path: DriverPath,
    staged: Arc<Staged>,
    _claim: WriterClaim,
    /// All accepted bytes, written or not.
    size_bytes: u64,
    /// Accepted chunks that are not being written yet; they come last in the file.
    queue: Vec<Bytes>,
    queued_bytes: usize,
    under_way: Option<Job<()>>,
    writeback: Writeback,
    /// A write has failed: the file ends before `size_bytes`.
    is_broken: bool,
    opened: OpenState,
}

/// The state of the file when it was opened.
#[derive(Debug)]
struct OpenState {
    size_bytes: u64,
    note: Option<Note>,
    /// Whether the file was created.
    is_new: bool,
}

impl FilesystemWriter {
    /// Opens the staged file at `path`.
    pub(crate) async fn open(store: Arc<Store>, path: &DriverPath, mode: WriteMode) -> Result<Self, Failure> {
        let claim = staging::claim(&store.root, path).await?;
        let (opening, slot, target) = (Arc::clone(&store), claim.slot(), path.clone());
        let (staged, opened) = store
            .pool
            .run(move || {
                let staged = Staged::open(&opening, target.as_key(), &mode, slot)?;
                let note = opening.notes.take(staged.file())?;
                let is_new = mode != WriteMode::Append;
                let opened =
                    OpenState { size_bytes: staged.size_bytes()?, note: note.filter(|_| !is_new), is_new };
                Ok((Arc::new(staged), opened))
            })
            .await?;
        let size_bytes = opened.size_bytes;
        Ok(Self {
            store,
            path: path.clone(),
            staged,
            _claim: claim,
            size_bytes,
            queue: Vec::new(),
            queued_bytes: 0,
            under_way: None,
            writeback: Writeback::after(size_bytes),
            is_broken: false,
            opened,
        })
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Failure> {
        if self.is_broken {
            return Err(Failure::WriterBroken);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        self.size_bytes += chunk.len() as u64;
        self.queued_bytes += chunk.len();
        self.queue.push(chunk);
        if self.queued_bytes < BATCH_BYTES && self.queue.len() < BATCH_CHUNKS {
            return Ok(());
        }
        self.finish_writes().await?;
        self.start_queue().await
    }

    /// Writes all accepted chunks to the page cache.
    async fn write_queue(&mut self) -> Result<(), Failure> {
        if self.is_broken {
            return Err(Failure::WriterBroken);
        }
        self.finish_writes().await?;
        if self.queue.is_empty() {
            return Ok(());
        }
        self.start_queue().await?;
        self.finish_writes().await
    }

    /// Starts to write the queue; no other write may be running.
    ///
    /// Waits only before it takes the queue, so that a dropped call leaves no hole in the file.
    async fn start_queue(&mut self) -> Result<(), Failure> {
        let permit = self.store.pool.permit().await?;
        let offset = self.size_bytes - self.queued_bytes as u64;
        let result = self.writeback.advance(&self.store, &self.staged, offset).await;
        self.note(result)?;
        let (staged, batch, offset) = self.take_queue();
        self.under_way = Some(permit.start(move || staged.write(&batch, offset)));
        Ok(())
    }

    /// Waits for the running write.
    async fn finish_writes(&mut self) -> Result<(), Failure> {
        let Some(job) = &mut self.under_way else { return Ok(()) };
        let result = job.outcome().await;
        self.under_way = None;
        self.note(result)
    }

    /// Refuses further chunks after a failure.
    fn note(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        if result.is_err() {
            self.is_broken = true;
            self.queue.clear();
            self.queued_bytes = 0;
        }
        result
    }

    /// The chunks to write, and their offset.
    fn take_queue(&mut self) -> (Arc<Staged>, Vec<Bytes>, u64) {
        let offset = self.size_bytes - self.queued_bytes as u64;
        self.queued_bytes = 0;
        (Arc::clone(&self.staged), std::mem::take(&mut self.queue), offset)
    }

    async fn flush_and_measure(&mut self, text: Bytes) -> Result<u64, Failure> {
        self.finish_writes().await?;
        self.writeback.check()?;
        let is_as_opened = self.size_bytes == self.opened.size_bytes && !self.opened.is_new;
        if is_as_opened && self.opened.note.as_ref().is_none_or(|note| note.text() == &text) {
            match self.opened.note.take() {
                Some(note) => self.store.notes.keep(note),
                None if text.is_empty() => {}
                None => return self.write_and_note(text).await,
            }
            return Ok(self.size_bytes);
        }
        self.write_and_note(text).await
    }

    /// Writes the remaining chunks, and binds `text` to the file if it is then complete.
    async fn write_and_note(&mut self, text: Bytes) -> Result<u64, Failure> {
        let (store, expected) = (Arc::clone(&self.store), self.size_bytes);
        let (staged, batch, offset) = self.take_queue();
        self.store
            .pool
            .run(move || {
                staged.write(&batch, offset)?;
                let size_bytes = staged.size_bytes()?;
                if size_bytes == expected
                    && let Some(note) = Note::of(staged.file(), text)?
                {
                    store.notes.keep(note);
                }
                Ok(size_bytes)
            })
            .await
    }

    async fn publish(&mut self, to: &DriverPath) -> Result<(), Failure> {
        let published = self.publish_file(to).await;
        if published.is_err() && *to != self.path {
            self.restore_after("commit").await;
        }
        published
    }

    /// Restores the file after an operation whose failure is the error to return. If this fails too, the file is
    /// longer than it should be.
    async fn restore_after(&mut self, failed: &str) {
        if let Err(failure) = self.restore().await {
            tracing::debug!(path = %self.path, error = %failure, "cannot truncate a staged file after a failed {failed}");
        }
    }

    async fn publish_file(&mut self, to: &DriverPath) -> Result<(), Failure> {
        self.finish_writes().await?;
        if self.is_broken {
            return Err(Failure::WriterBroken);
        }
        self.writeback.finish_writes().await?;
        let (store, to, size_bytes) = (Arc::clone(&self.store), to.clone(), self.size_bytes);
        let (staged, batch, offset) = self.take_queue();
        self.store
            .pool
            .run(move || {
                staged.write(&batch, offset)?;
                publish::commit(&store, &staged, to.as_key(), size_bytes)
            })
            .await
    }

    /// Restores the file to its state when it was opened.
    async fn restore(&mut self) -> Result<(), Failure> {
        if let Some(mut job) = self.under_way.take() {
            _ = job.outcome().await; // Its bytes are truncated below.
        }
        _ = self.writeback.finish_writes().await; // A file that the disk refused was removed, and stays so.
        self.queue.clear();
        self.queued_bytes = 0;
        let (store, staged) = (Arc::clone(&self.store), Arc::clone(&self.staged));
        let (written_bytes, note) = (self.size_bytes, self.opened.note.take());
        let (size_bytes, is_new) = (self.opened.size_bytes, self.opened.is_new);
        self.store
            .pool
            .run(move || {
                // Under another name the file is published; if it is longer than we wrote, another program
                // writes it.
                if !staged.is_in_place(&store)? || staged.size_bytes()? > written_bytes {
                    return Ok(());
                }
                if is_new {
                    return staged.remove(&store);
                }
                if staged.size_bytes()? > size_bytes {
                    staged.cut(size_bytes)?;
                }
                if let Some(note) = note
                    && staged.size_bytes()? == size_bytes
                    && let Some(note) = Note::of(staged.file(), note.text().clone())?
                {
                    store.notes.keep(note);
                }
                Ok(())
            })
            .await
    }

    async fn remove(mut self) -> Result<(), Failure> {
        if let Some(mut job) = self.under_way.take() {
            _ = job.outcome().await; // The file is removed, so it may be incomplete.
        }
        let Self { store, staged, _claim, .. } = self;
        let pool = Arc::clone(&store);
        pool.pool
            .run(move || {
                let removed = staged.remove(&store);
                drop(staged); // Closing the last handle frees the blocks, which takes a while: not on the async thread.
                removed
            })
            .await
    }
}

#[async_trait]
impl FileWriter for FilesystemWriter {
    fn size(&self) -> u64 {
        self.size_bytes
    }

    fn note(&self) -> Option<Bytes> {
        self.opened.note.as_ref().map(|note| note.text().clone())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let result = self.take(chunk).await;
        result.map_err(|failure| self.store.error(Operation::Write, &self.path, failure))
    }

    async fn flush(&mut self) -> Result<()> {
        let result = self.write_queue().await;
        result.map_err(|failure| self.store.error(Operation::Write, &self.path, failure))
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        // The bytes of an appended file may be cut off and written again, which the view would not notice.
        if !self.opened.is_new {
            return None;
        }
        let view = FileView::of(&self.store, &self.path, &self.staged);
        view.inspect_err(
            |errno| tracing::debug!(path = %self.path, error = %errno, "a staged file has no view"),
        )
        .ok()
        .map(|view| Arc::new(view) as _)
    }

    async fn close(mut self: Box<Self>, note: Bytes) -> Result<u64> {
        let result = self.flush_and_measure(note).await;
        if result.is_err() {
            self.restore_after("close").await;
        }
        result.map_err(|failure| self.store.error(Operation::Close, &self.path, failure))
    }

    async fn commit(mut self: Box<Self>, to: &DriverPath) -> Result<()> {
        let result = self.publish(to).await;
        result.map_err(|failure| self.store.error(Operation::Commit, to, failure))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        self.remove().await.map_err(|failure| store.error(Operation::Cancel, &path, failure))
    }

    async fn revert(mut self: Box<Self>) -> Result<()> {
        let result = self.restore().await;
        result.map_err(|failure| self.store.error(Operation::Revert, &self.path, failure))
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
