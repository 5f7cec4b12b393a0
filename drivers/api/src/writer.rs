//! `FileWriter`: a file being written.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{DriverPath, Result};

/// A file being written. Its four ends consume it, so "already closed" cannot be expressed.
///
/// Dropping a writer equals a crash: bytes since the last `close` may be lost, and nothing becomes visible.
/// What was closed before stays and can be appended to; a writer that was never closed may leave nothing.
///
/// A *note* is what the caller wants to know of the bytes when it goes on with them, such as their running hash.
/// It belongs to the bytes that it was closed with and to no others, so it is never a matter of their number (C15).
#[async_trait]
pub trait FileWriter: fmt::Debug + Send {
    /// How many bytes the file has: those from before an append and those taken by `write` (C5).
    fn size(&self) -> u64;

    /// The note of an appended writer: that of the last `close`, if the bytes before the append are exactly those that were
    /// closed with it (C15).
    ///
    /// `None` whenever that is not certain: after a crash that the bytes need not survive either, or when another process
    /// wrote in between. Also for an empty note, and for a file that was begun anew.
    fn note(&self) -> Option<Bytes>;

    /// Takes `chunk`. It may be written later; an error is reported by this or a later call.
    /// After an error, only `close`, `cancel` and `revert` make sense.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Keeps everything for a later [`WriteMode::Append`](crate::WriteMode::Append), unpublished, and tells its size.
    /// `note` replaces the note from before. Notes beyond [`MAX_NOTE_BYTES`] need not be kept.
    ///
    /// It survives the end of the process, but need not survive a power failure: the sender is asked for it again.
    /// When less is kept than `size` told, `note` is not. After an error the file may be gone.
    async fn close(self: Box<Self>, note: Bytes) -> Result<u64>;

    /// Publishes the file at `to`, whole, replacing what was there; the staged file is gone afterwards (C3).
    ///
    /// Where publishing and removing are two steps and the second fails, the file is published: that is success, and what is
    /// left costs space until its directory is deleted.
    ///
    /// When this returns, the file and its name are durable.
    /// A failure leaves `to` as it was or complete, and the staged file as [`revert`](Self::revert) does, unless `to` has it
    /// or it is lost. Of a lost one nothing is left: an append is `NotFound`.
    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()>;

    /// Leaves nothing.
    async fn cancel(self: Box<Self>) -> Result<()>;

    /// Leaves the file as it was when this writer was opened: with the bytes and the note from before the append, or, after
    /// [`WriteMode::Create`](crate::WriteMode::Create), nothing (C16).
    async fn revert(self: Box<Self>) -> Result<()>;
}

/// As long as a note may be.
pub const MAX_NOTE_BYTES: usize = 4096;
