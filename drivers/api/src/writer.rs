//! `FileWriter`: writes a file.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{DriverPath, Result, StagedView};

/// Writes a staged file. Its four final methods consume it, so an "already closed" state does not exist.
///
/// Dropping a writer equals a crash: bytes since the last `close` may be lost, and nothing becomes visible.
/// Bytes closed before remain and can be appended to; a writer that was never closed may leave nothing.
///
/// A *note* is data that the caller needs when it continues the upload, such as the running hash. It belongs
/// to exactly the bytes that it was closed with, not to their number (C15).
#[async_trait]
pub trait FileWriter: fmt::Debug + Send {
    /// The size of the file in bytes: those from before an append and those accepted by `write` (C5).
    fn size(&self) -> u64;

    /// The note of the last `close`, for an appended writer whose bytes are exactly those that were closed
    /// with it (C15).
    ///
    /// `None` whenever that is uncertain: after a crash that the bytes need not survive either, or if another
    /// process wrote in between. Also `None` for an empty note and for a new file.
    fn note(&self) -> Option<Bytes>;

    /// Accepts `chunk`. The write may happen later; this or a later call reports its error. After an error, or if the
    /// call is dropped before it ends, only `close`, `cancel` and `revert` are useful: what `close` keeps is a beginning of
    /// the accepted bytes.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Makes all accepted bytes readable in the [`view`](Self::view), which may cost a small write; nothing becomes
    /// durable. Does nothing if the file has no view. After an error, as after one of `write`.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// A view of the file, for reading what is written already (C21); `None` if the driver has no views, or none of
    /// this file: a file that is appended to need not have one.
    fn view(&self) -> Option<Arc<dyn StagedView>> {
        None
    }

    /// Keeps everything for a later [`WriteMode::Append`](crate::WriteMode::Append), unpublished, and returns
    /// the size. `note` replaces the previous note. A driver may drop notes longer than [`MAX_NOTE_BYTES`].
    ///
    /// The file survives the end of the process, but need not survive a power failure: the client sends it
    /// again. If fewer bytes survive than `size` returned, the note does not. After an error the file may be
    /// gone.
    async fn close(self: Box<Self>, note: Bytes) -> Result<u64>;

    /// Publishes the whole file at `to`, replacing an existing one, and removes the staged file (C3).
    ///
    /// If publishing and removing are two steps and the second fails, the file is published: that is success,
    /// and the leftover costs space until its directory is deleted.
    ///
    /// On return, the file and its name are durable. On a failure `to` is unchanged or complete, and the
    /// staged file is as after [`revert`](Self::revert), unless it moved to `to` or is lost. Nothing remains
    /// of a lost file: an append is `NotFound`.
    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()>;

    /// Deletes the staged file.
    async fn cancel(self: Box<Self>) -> Result<()>;

    /// Restores the file to its state when this writer was opened: the bytes and the note from before the
    /// append, or, after [`WriteMode::Create`](crate::WriteMode::Create), nothing (C16).
    async fn revert(self: Box<Self>) -> Result<()>;
}

/// The longest note, in bytes, that drivers keep.
pub const MAX_NOTE_BYTES: usize = 4096;
