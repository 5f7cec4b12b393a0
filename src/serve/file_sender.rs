//! Files that go from the page cache to the socket, without passing through this process.
//!
//! hyper takes bytes, not files. So whoever makes the body of a response [announces](FileSender::announce) a part of a file and
//! gives hyper a *stand-in*: as many bytes as the part has, all of them zero, at an address that nothing else has. hyper counts
//! and queues them like any others. When they arrive at the socket, [`PlainStream`](super::PlainStream) knows them by their
//! address and sends the announced part instead, with `sendfile(2)`; nobody ever reads them.
//!
//! A stand-in that was taken for content would be the worst that can happen here. Four things prevent it:
//!
//! - only requests of connections that know stand-ins (plain TCP, HTTP/1) have a [`FileSender`] among their extensions;
//! - parts are sent in the order in which they were announced, and each must meet a stand-in of exactly its length;
//! - while a part is announced, what is written must have its stand-in in it. Should something on the way begin to copy bytes
//!   together, the first write after that is an error, and the connection is broken before a zero has left;
//! - a stand-in without an announcement is an error too.
//!
//! There is no memory map, and so no unsafe code, no address space that a slow client holds, and no signal when somebody
//! truncates the file by hand: the kernel finds it too short, and the connection breaks.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The longest stand-in. Zeros that are never touched take address space and no memory.
const MOST_BYTES: usize = 1024 * 1024;

/// The address by which a stand-in is known.
static STAND_IN: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; MOST_BYTES]);

/// Sends parts of files as the body of a response: an extension of requests whose connection can do so.
#[derive(Clone, Debug, Default)]
pub struct FileSender {
    /// A plain mutex: it is held to look at the first part, and by one task only.
    announced: Arc<Mutex<VecDeque<Part>>>,
}

/// A part of a file that is to be sent.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) range: Range<u64>,
}

/// What is to be done with the buffers of a write.
#[derive(Debug)]
pub(super) enum Next {
    /// Write the first so many.
    Buffers(usize),
    /// Send this part, whose stand-in comes first.
    Part(Part),
}

/// What must not have happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Misplaced {
    #[error("a part of a file was announced, but its stand-in is not in what is written")]
    Missing,
    #[error("a stand-in is written for which no part of a file was announced")]
    Unannounced,
    #[error("a stand-in of {stand_in} bytes is written for {part} bytes of a file")]
    Length { stand_in: usize, part: u64 },
}

impl FileSender {
    /// Takes a part of `file` from the front of `rest`, to be sent next, and gives its stand-in.
    ///
    /// For bodies only that are made of stand-ins: to be called when a frame is asked for, and the stand-in to be given as that
    /// frame. `rest` must not be empty.
    pub fn announce(&self, file: &Arc<File>, rest: &mut Range<u64>) -> Bytes {
        let len = usize::try_from(rest.end - rest.start).map_or(MOST_BYTES, |len| len.min(MOST_BYTES));
        let range = rest.start..rest.start + len as u64;
        rest.start = range.end;
        self.announced().push_back(Part { file: Arc::clone(file), range });
        Bytes::from_static(&STAND_IN[..len])
    }

    /// Decides what of `buffers` can be written at once.
    pub(super) fn next(&self, buffers: &[IoSlice<'_>]) -> io::Result<Next> {
        let announced = self.announced();
        let Some(part) = announced.front() else {
            return match buffers.iter().any(|buffer| is_stand_in(buffer)) {
                true => Err(Misplaced::Unannounced.into()),
                false => Ok(Next::Buffers(buffers.len())),
            };
        };
        let Some(first) = buffers.iter().position(|buffer| is_stand_in(buffer)) else {
            return Err(Misplaced::Missing.into());
        };
        if buffers[..first].iter().any(|buffer| !buffer.is_empty()) {
            return Ok(Next::Buffers(first));
        }
        let (stand_in, len) = (buffers[first].len(), part.range.end - part.range.start);
        if stand_in as u64 != len {
            return Err(Misplaced::Length { stand_in, part: len }.into());
        }
        Ok(Next::Part(part.clone()))
    }

    /// Notes that so many bytes of the first part were sent.
    pub(super) fn sent(&self, bytes: usize) {
        let mut announced = self.announced();
        let Some(part) = announced.front_mut() else { return };
        part.range.start += bytes as u64;
        if part.range.is_empty() {
            announced.pop_front();
        }
    }

    fn announced(&self) -> MutexGuard<'_, VecDeque<Part>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_stand_in(buffer: &[u8]) -> bool {
    // Nobody else has memory in there, so its first byte tells.
    !buffer.is_empty() && STAND_IN.as_ptr_range().contains(&buffer.as_ptr())
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
