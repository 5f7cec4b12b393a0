//! Sends files from the page cache to the socket without copying them through this process.
//!
//! hyper accepts bytes, not files. So the code that builds a response body [announces](FileSender::announce)
//! a part of a file and gives hyper a *placeholder*: as many zero bytes as the part has, at a reserved
//! address. hyper counts and queues it like any other bytes. At the socket,
//! [`PlainStream`](super::PlainStream) recognizes it by its address and sends the announced part instead,
//! with `sendfile(2)`; the zeros are never read.
//!
//! Sending a placeholder as content would corrupt a response. Four rules prevent it:
//!
//! - only requests of connections that recognize placeholders (plain TCP, HTTP/1) have a [`FileSender`] among
//!   their extensions;
//! - parts are sent in the order of their announcement, and each must match a placeholder of exactly its
//!   length;
//! - while a part is announced, a write must contain its placeholder. If a layer in between starts to copy
//!   buffers together, the first write after that fails, and the connection breaks before a zero is sent;
//! - a placeholder without an announcement is an error too.
//!
//! A memory map would need unsafe code, hold address space for slow clients, and raise a signal when a user
//! truncates the file. Here the kernel reports the short file and the connection breaks.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

/// The longest placeholder. Its zeros are never touched, so they take address space but no memory.
const MAX_BYTES: usize = 1024 * 1024;

/// The memory whose addresses mark placeholders.
static PLACEHOLDER: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; MAX_BYTES]);

/// Sends parts of files as a response body: an extension of requests whose connection supports it.
#[derive(Clone, Debug, Default)]
pub struct FileSender {
    /// A plain mutex: held to access the queue, by one task only.
    announced: Arc<Mutex<VecDeque<Part>>>,
}

/// A part of a file to send.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) range: Range<u64>,
}

/// How to continue a write.
#[derive(Debug)]
pub(super) enum WriteStep {
    /// Write this many buffers.
    Buffers(usize),
    /// Send this part; its placeholder is the first buffer.
    Part(Part),
}

/// Violations of the protocol between bodies and sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Misplaced {
    #[error("a part of a file was announced, but its placeholder is not in the buffers")]
    Missing,
    #[error("a placeholder is written but no part of a file was announced")]
    Unannounced,
    #[error("a placeholder of {placeholder} bytes is written for {part} bytes of a file")]
    Length { placeholder: usize, part: u64 },
}

impl FileSender {
    /// Announces the next part, split off the front of `rest`, and returns its placeholder.
    ///
    /// Only for bodies that begin with placeholders, and have none after other bytes: call it when a frame is polled and return
    /// the placeholder as that frame. `rest` must not be empty.
    pub fn announce(&self, file: &Arc<File>, rest: &mut Range<u64>) -> Bytes {
        let len = usize::try_from(rest.end - rest.start).map_or(MAX_BYTES, |len| len.min(MAX_BYTES));
        let range = rest.start..rest.start + len as u64;
        rest.start = range.end;
        self.announced().push_back(Part { file: Arc::clone(file), range });
        Bytes::from_static(&PLACEHOLDER[..len])
    }

    /// Decides how much of `buffers` can be written at once.
    pub(super) fn next(&self, buffers: &[IoSlice<'_>]) -> io::Result<WriteStep> {
        let announced = self.announced();
        let Some(part) = announced.front() else {
            return match buffers.iter().any(|buffer| is_placeholder(buffer)) {
                true => Err(Misplaced::Unannounced.into()),
                false => Ok(WriteStep::Buffers(buffers.len())),
            };
        };
        let Some(first) = buffers.iter().position(|buffer| is_placeholder(buffer)) else {
            return Err(Misplaced::Missing.into());
        };
        if buffers[..first].iter().any(|buffer| !buffer.is_empty()) {
            return Ok(WriteStep::Buffers(first));
        }
        let (placeholder, len) = (buffers[first].len(), part.range.end - part.range.start);
        if placeholder as u64 != len {
            return Err(Misplaced::Length { placeholder, part: len }.into());
        }
        Ok(WriteStep::Part(part.clone()))
    }

    /// Records that `bytes` of the first part were sent.
    pub(super) fn sent(&self, bytes: usize) {
        let mut announced = self.announced();
        let Some(part) = announced.front_mut() else { return };
        part.range.start += bytes as u64;
        if part.range.is_empty() {
            announced.pop_front();
        }
    }

    /// Takes the range of the first announced part, as if it were sent: tests of a handler see what it announced.
    pub fn take_announced(&self) -> Option<Range<u64>> {
        self.announced().pop_front().map(|part| part.range)
    }

    fn announced(&self) -> MutexGuard<'_, VecDeque<Part>> {
        self.announced.lock()
    }
}

fn is_placeholder(buffer: &[u8]) -> bool {
    // No other allocation overlaps this memory, so the first byte's address is enough.
    !buffer.is_empty() && PLACEHOLDER.as_ptr_range().contains(&buffer.as_ptr())
}

impl From<Misplaced> for io::Error {
    fn from(misplaced: Misplaced) -> Self {
        Self::other(misplaced)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "file_sender_tests.rs"]
mod tests;
