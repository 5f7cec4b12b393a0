//! A disk of a test that is full once.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// A disk that has room for some bytes, and more after it was full once.
pub(crate) struct TestDisk {
    pub(crate) content: Arc<Mutex<Vec<u8>>>,
    pub(crate) room: usize,
}

impl TestDisk {
    /// What was written to the disk with this content.
    pub(crate) fn text(content: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(content.lock().clone()).unwrap()
    }
}

impl Write for TestDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.room);
        self.room -= written;
        self.content.lock().extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
