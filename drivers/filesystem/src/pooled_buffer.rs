//! `PooledBuffer`: a buffer that is used again for the next chunk. A fresh one for each would cost as much in page faults as the copy.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::error::Failure;

/// Holds the buffer while it is unused. A plain mutex: held to move a pointer.
pub(crate) type BufferSlot = Arc<Mutex<Option<Vec<u8>>>>;

/// A buffer that returns to its [`BufferSlot`] when its last user drops it.
pub(crate) struct PooledBuffer {
    buffer: Vec<u8>,
    len: usize,
    home: BufferSlot,
}

impl PooledBuffer {
    /// Takes the buffer, or a new one if it is in use; with `len` bytes of arbitrary content.
    fn take(home: &BufferSlot, len: usize) -> Self {
        let mut buffer = home.lock().take().unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        Self { buffer, len, home: Arc::clone(home) }
    }

    /// What `fill` writes into a buffer of `len` bytes; `None` if that is nothing. It returns how many bytes it has written.
    pub(crate) fn fill(
        home: &BufferSlot,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Option<Bytes> {
        let mut lent = Self::take(home, len);
        lent.len = fill(&mut lent.buffer[..len]);
        (lent.len > 0).then(|| Bytes::from_owner(lent))
    }

    /// The bytes of a file in `range`, all of which it must have.
    pub(crate) fn read(home: &BufferSlot, file: &File, range: Range<u64>) -> Result<Bytes, Failure> {
        let len = usize::try_from(range.end - range.start).map_err(|_| Errno::NOMEM)?;
        let mut lent = Self::take(home, len);
        let mut filled = 0;
        while filled < len {
            let offset = range.start + filled as u64;
            match rustix::io::pread(file, &mut lent.buffer[filled..len], offset) {
                Ok(0) => return Err(Failure::SizeChanged { expected: range.end, found: offset }),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Bytes::from_owner(lent))
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        *self.home.lock() = Some(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_but_never_read_and_written_at_once() {
        let home = BufferSlot::default();
        let first = Bytes::from_owner(PooledBuffer::take(&home, 8));
        let address = first.as_ptr();
        let second = Bytes::from_owner(PooledBuffer::take(&home, 8));
        assert_ne!(second.as_ptr(), address);
        let part = first.slice(2..);
        drop(first);
        assert!(home.lock().is_none(), "a part of it is still in use");
        drop(part);
        assert_eq!(Bytes::from_owner(PooledBuffer::take(&home, 4)).as_ptr(), address);
    }
}
