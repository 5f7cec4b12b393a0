//! `InMemoryWriter`: bytes on their way into a staged file.
//!
//! New bytes stay with the writer until `close` or `commit` adds them in one step; a writer that is dropped takes them along.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, Operation, Result};

use crate::content::Content;
use crate::store::{StagedId, Store};

/// A writer of the staged file `id` at `path`.
#[derive(Debug)]
pub(crate) struct InMemoryWriter {
    pub(crate) store: Arc<Store>,
    pub(crate) path: DriverPath,
    pub(crate) id: StagedId,
    /// The size of the staged file when the writer was opened.
    pub(crate) staged_bytes: u64,
    /// What was written since.
    pub(crate) added: Content,
}

#[async_trait]
impl FileWriter for InMemoryWriter {
    fn size(&self) -> u64 {
        self.staged_bytes + self.added.size_bytes()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.added.push(chunk) {
            true => Ok(()),
            false => Err(self.store.full().at(Operation::Write, &self.path)),
        }
    }

    async fn close(self: Box<Self>) -> Result<u64> {
        let Self { store, path, id, staged_bytes, added } = *self;
        let closed = store.write().append(&path, id, staged_bytes, added);
        closed.map_err(|error| error.at(Operation::Close, &path))
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let Self { store, path, id, staged_bytes, added } = *self;
        let mut files = store.write();
        let committed =
            files.append(&path, id, staged_bytes, added).and_then(|_| files.commit(&path, id, to));
        committed.map_err(|error| error.at(Operation::Commit, &path))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let staged = self.store.write().unstage(&self.path, self.id);
        drop(staged); // Outside the lock: large content takes its time to free.
        Ok(())
    }
}
