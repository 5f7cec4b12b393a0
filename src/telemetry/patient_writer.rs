//! `PatientWriter`: waits for a descriptor that does not block.
//!
//! Another process may have made standard output or error non-blocking: it shares the pipe or the terminal. Then a write
//! fails while the reader does not keep up, and without a wait its lines would be lost.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Writes to a descriptor; waits while it takes no bytes.
#[derive(Debug)]
pub(super) struct PatientWriter<W>(pub(super) W);

impl<W: Write + AsFd> Write for PatientWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: AsFd> PatientWriter<W> {
    fn wait(&self) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.0, PollFlags::OUT)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_that_is_slow_gets_all_of_a_pipe_that_does_not_block() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut writer = PatientWriter(File::from(std::os::fd::OwnedFd::from(writer)));
        rustix::io::ioctl_fionbio(&writer.0, true).unwrap();
        let expected = b"a line\n".repeat(100_000);
        // More than the pipe takes without its reader.
        let begun = writer.write(&expected).unwrap();
        assert!(begun < expected.len(), "{begun} bytes");
        let rest = expected[begun..].to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&rest));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(read.len(), expected.len());
        assert!(read == expected);
    }
}
