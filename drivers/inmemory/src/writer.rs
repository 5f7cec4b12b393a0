//! `InMemoryWriter`: writes a staged file.
//!
//! New bytes stay in the writer until `close` or `commit` appends them in one step; dropping the writer drops
//! them.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, Operation, Result, StagedView};

use crate::content::Content;
use crate::store::{StagedId, Store};
use crate::view::MemoryView;

/// A writer of the staged file `id` at `path`.
#[derive(Debug)]
pub(crate) struct InMemoryWriter {
    pub(crate) store: Arc<Store>,
    pub(crate) path: DriverPath,
    pub(crate) id: StagedId,
    /// The size of the staged file when the writer was opened.
    pub(crate) staged_bytes: u64,
    /// The note of the last close.
    pub(crate) note: Option<Bytes>,
    /// The bytes written since.
    pub(crate) added: Content,
    /// Whether this writer created the staged file and has not closed it.
    pub(crate) is_new: bool,
    /// The view of a new file, once there is one.
    pub(crate) view: OnceLock<Arc<MemoryView>>,
}

impl InMemoryWriter {
    fn show(&self) {
        if let Some(view) = self.view.get() {
            view.take_over(&self.added);
        }
    }
}

#[async_trait]
impl FileWriter for InMemoryWriter {
    fn size(&self) -> u64 {
        self.staged_bytes + self.added.size_bytes()
    }

    fn note(&self) -> Option<Bytes> {
        self.note.clone()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if !self.added.push(chunk) {
            return Err(self.store.full().at(Operation::Write, &self.path));
        }
        self.show();
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.view.get().is_some() {
            self.added.seal();
            self.show();
        }
        Ok(())
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        if !self.is_new {
            return None;
        }
        let view = self.view.get_or_init(|| Arc::new(MemoryView::new(self.path.clone())));
        view.take_over(&self.added);
        Some(view.clone())
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        let Self { store, path, id, staged_bytes, added, .. } = *self;
        let closed = store.write().close(&path, id, staged_bytes, added, note);
        closed.map_err(|error| error.at(Operation::Close, &path))
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let Self { store, path, id, staged_bytes, added, is_new, .. } = *self;
        let committed = store.write().commit(&path, id, staged_bytes, added, to);
        if committed.is_err() && is_new {
            drop(store.write().unstage(&path, id));
        }
        committed.map_err(|error| error.at(Operation::Commit, &path))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let staged = self.store.write().unstage(&self.path, self.id);
        drop(staged); // Outside the lock, because freeing large content takes time.
        Ok(())
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        // New bytes are in this writer until it is closed.
        if self.is_new { self.cancel().await } else { Ok(()) }
    }
}
