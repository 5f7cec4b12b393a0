//! `FileWriter`: a file being written.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{DriverPath, Result};

/// A file being written. Its three ends consume it, so "already closed" cannot be expressed.
///
/// Dropping a writer equals a crash: bytes since the last `close` may be lost, and nothing becomes visible.
/// What was closed before stays and can be appended to; a writer that was never closed may leave nothing.
#[async_trait]
pub trait FileWriter: fmt::Debug + Send {
    /// How many bytes the file has: those from before an append and those taken by `write` (C5).
    fn size(&self) -> u64;

    /// Takes `chunk`. It may be written later; an error is reported by this or a later call.
    /// After an error, only `close` and `cancel` make sense.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Keeps everything for a later [`WriteMode::Append`](crate::WriteMode::Append), unpublished, and tells its size.
    ///
    /// It survives the end of the process, but need not survive a power failure: the sender is asked for it again.
    /// After an error the file may be gone.
    async fn close(self: Box<Self>) -> Result<u64>;

    /// Publishes the file at `to`, whole, replacing what was there; the staged file is gone afterwards (C3).
    ///
    /// Where publishing and removing are two steps and the second fails, the file is published: that is success, and what is
    /// left costs space until its directory is deleted.
    ///
    /// When this returns, the file and its name are durable.
    /// A failure leaves `to` as it was or complete, and the staged file where it was unless `to` has it.
    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()>;

    /// Leaves nothing.
    async fn cancel(self: Box<Self>) -> Result<()>;
}
