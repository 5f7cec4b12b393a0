//! `MyWriter`: writes a staged file, piece by piece.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sampan_driver::{DriverPath, ErrorKind, FileWriter, MAX_NOTE_BYTES, Operation, Result, WriteMode};

use super::store::{Store, error};
use super::tables::{PIECE_BYTES, Part, TableResult, Tables};

/// A writer, and the part that it adds. Nothing refers to the part before the writer ends.
#[derive(Debug)]
pub(super) struct MyWriter {
    store: Arc<Store>,
    path: DriverPath,
    /// The staged parts when the writer was opened; `None` for a new file.
    opened: Option<Vec<Part>>,
    note: Bytes,
    part: Part,
    pieces: u64,
    /// The bytes after the last whole piece.
    rest: BytesMut,
    /// The part belongs to a file, or will.
    is_kept: bool,
}

impl MyWriter {
    pub(super) async fn open(store: Arc<Store>, path: &DriverPath, mode: WriteMode) -> Result<Self> {
        let key = path.to_string();
        let staged = store.read(Operation::Writer, path, move |snapshot| snapshot.staged(&key)).await;
        let (opened, note) = match (mode, staged) {
            (WriteMode::Append, staged) => {
                let (parts, note) = staged?;
                (Some(parts), note)
            }
            (WriteMode::Create(_), Ok(_)) => {
                let key = path.to_string();
                store.change(Operation::Writer, path, move |tables| Ok(Ok(tables.unstage(&key)?))).await?;
                (None, Bytes::new())
            }
            (WriteMode::Create(_), Err(failed)) if failed.is_not_found() => (None, Bytes::new()),
            (WriteMode::Create(_), Err(failed)) => return Err(failed),
        };
        let part = Part { id: store.next_id(), size: 0 };
        let (path, rest) = (path.clone(), BytesMut::new());
        Ok(Self { store, path, opened, note, part, pieces: 0, rest, is_kept: false })
    }

    /// Writes the rest of the part, and lets `end` do something with the whole, if the staged file is still the same.
    async fn end(
        mut self: Box<Self>,
        operation: Operation,
        end: impl FnOnce(&mut Tables<'_>, &str, &[Part]) -> TableResult<()> + Send + 'static,
    ) -> Result<()> {
        let (part, pieces, key, opened) =
            (self.part, self.pieces, self.path.to_string(), self.opened.clone());
        let rest = self.rest.split().freeze();
        let change = move |tables: &mut Tables<'_>| {
            if opened.is_some() && tables.staged(&key)? != opened {
                return Ok(Err(ErrorKind::NotFound)); // Deleted, or closed by another writer.
            }
            if !rest.is_empty() {
                tables.add_piece(part.id, pieces, &rest)?;
            }
            let parts: Vec<Part> =
                opened.into_iter().flatten().chain((part.size > 0).then_some(part)).collect();
            end(tables, &key, &parts)
        };
        // Kept already now: the change is made also if the client leaves and nothing waits for it.
        self.is_kept = true;
        let ended = self.store.change(operation, &self.path, change).await;
        self.is_kept = ended.is_ok();
        ended
    }
}

#[async_trait]
impl FileWriter for MyWriter {
    fn size(&self) -> u64 {
        self.opened.iter().flatten().map(|part| part.size).sum::<u64>() + self.part.size
    }

    fn note(&self) -> Option<Bytes> {
        (!self.note.is_empty()).then(|| self.note.clone())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.part.size += chunk.len() as u64;
        self.rest.extend_from_slice(&chunk);
        while self.rest.len() >= PIECE_BYTES {
            let (id, number, piece) = (self.part.id, self.pieces, self.rest.split_to(PIECE_BYTES).freeze());
            self.pieces += 1;
            let add = move |tables: &mut Tables<'_>| Ok(Ok(tables.add_piece(id, number, &piece)?));
            self.store.prepare(Operation::Write, &self.path, add).await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        let size = self.size();
        let note = if note.len() > MAX_NOTE_BYTES { Bytes::new() } else { note };
        self.end(Operation::Close, move |tables, path, parts| Ok(Ok(tables.stage(path, parts, &note)?)))
            .await?;
        Ok(size)
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        if to.is_root() {
            return Err(error(ErrorKind::Unsupported, Operation::Commit, to));
        }
        let to = to.clone();
        self.end(Operation::Commit, move |tables, path, parts| Ok(Ok(tables.commit(path, parts, &to)?))).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let key = self.path.to_string();
        self.store.change(Operation::Cancel, &self.path, move |tables| Ok(Ok(tables.unstage(&key)?))).await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        Ok(()) // The staged parts are as they were, and dropping the writer removes its own.
    }
}

impl Drop for MyWriter {
    fn drop(&mut self) {
        if !self.is_kept && self.part.size > 0 {
            self.store.forget(self.part.id);
        }
    }
}
