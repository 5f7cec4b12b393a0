//! `Cursor`: reads a bundle forward, from files or from a pipe, and compares what must be there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedMutexGuard;

use crate::{Error, Fault, PartFiles, Result};

/// The most bytes that one read takes: what the filesystem driver writes at once, and a processor's cache holds from the
/// read over the hash to the write.
pub(crate) const CHUNK: u64 = 256 << 10;

/// A pipe, and how much of it was read.
pub(crate) struct Pipe {
    pub(crate) reader: Pin<Box<dyn AsyncRead + Send>>,
    pub(crate) offset: u64,
}

/// A position in a bundle.
pub(crate) enum Cursor {
    Files {
        files: Arc<PartFiles>,
        offset: u64,
        /// The last chunks, whose memory is used again when the consumer has dropped them.
        last: VecDeque<Bytes>,
    },
    Pipe(OwnedMutexGuard<Pipe>),
}

impl Cursor {
    /// A position in files.
    pub(crate) fn in_files(files: Arc<PartFiles>, offset: u64) -> Self {
        Self::Files { files, offset, last: VecDeque::new() }
    }

    pub(crate) fn offset(&self) -> u64 {
        match self {
            Self::Files { offset, .. } => *offset,
            Self::Pipe(pipe) => pipe.offset,
        }
    }

    /// Goes to `target`. A pipe goes forward only, and reads what it passes.
    pub(crate) async fn seek(&mut self, target: u64, entry: &str) -> Result<()> {
        if let Self::Files { offset, .. } = self {
            *offset = target;
            return Ok(());
        }
        if self.offset() > target {
            return Err(self.fault(entry, "it is needed after the pipe has passed it").into());
        }
        while self.offset() < target {
            self.chunk(target - self.offset(), entry).await?;
        }
        Ok(())
    }

    /// Reads at least one and at most `max` bytes.
    pub(crate) async fn chunk(&mut self, max: u64, entry: &str) -> Result<Bytes> {
        let chunk = self.chunk_if_any(max).await?;
        match chunk.is_empty() && max > 0 {
            true => Err(self.fault(entry, "the bundle ends here, too early").into()),
            false => Ok(chunk),
        }
    }

    /// Reads at most `max` bytes; none at the end.
    pub(crate) async fn chunk_if_any(&mut self, max: u64) -> Result<Bytes> {
        let len = max.min(CHUNK) as usize;
        match self {
            Self::Files { files, offset, last } => {
                let (reader, at) = (files.clone(), *offset);
                // Allocated here: an allocator keeps memory for each thread, and those that block are many.
                let mut buffer = used_again(last).unwrap_or_default();
                buffer.resize(len, 0);
                let read = tokio::task::spawn_blocking(move || {
                    let filled = reader.fill(at, &mut buffer)?;
                    buffer.truncate(filled);
                    Ok::<_, Error>(buffer.freeze())
                });
                let chunk = read.await.map_err(|error| Error::Pipe(std::io::Error::other(error)))??;
                *offset += chunk.len() as u64;
                last.push_back(chunk.clone());
                Ok(chunk)
            }
            Self::Pipe(pipe) => {
                let mut buffer = BytesMut::with_capacity(len);
                let mut limited = (&mut pipe.reader).take(len as u64);
                limited.read_buf(&mut buffer).await.map_err(Error::Pipe)?;
                pipe.offset += buffer.len() as u64;
                Ok(buffer.freeze())
            }
        }
    }

    /// Reads exactly `len` bytes, which the caller has bounded.
    pub(crate) async fn exact(&mut self, len: u64, entry: &str) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while (all.len() as u64) < len {
            let chunk = self.chunk(len - all.len() as u64, entry).await?;
            if chunk.len() as u64 == len {
                return Ok(chunk);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads bytes that must be these.
    pub(crate) async fn expect(&mut self, expected: &[u8], entry: &str, what: &str) -> Result<()> {
        let start = self.offset();
        let actual = self.exact(expected.len() as u64, entry).await?;
        match actual.iter().zip(expected).position(|(actual, expected)| actual != expected) {
            None => Ok(()),
            Some(_) => Err(self.fault_at(entry, start, format!("{what} is not the planned one")).into()),
        }
    }

    pub(crate) fn fault(&self, entry: &str, problem: impl Into<String>) -> Fault {
        self.fault_at(entry, self.offset(), problem)
    }

    pub(crate) fn fault_at(&self, entry: &str, offset: u64, problem: impl Into<String>) -> Fault {
        match self {
            Self::Files { files, .. } => files.fault(entry, offset, problem),
            Self::Pipe(_) => {
                Fault { entry: entry.to_owned(), offset, file: None, part: None, problem: problem.into() }
            }
        }
    }
}

/// The memory of one of the last chunks, the oldest first, if its consumer has dropped it.
fn used_again(last: &mut VecDeque<Bytes>) -> Option<BytesMut> {
    let free = (0..last.len()).find(|place| last[*place].is_unique());
    let oldest = match free {
        Some(free) => last.remove(free),
        // A consumer that keeps all it reads needs new memory each time.
        None if last.len() > 1 => last.pop_front(),
        None => None,
    };
    oldest?.try_into_mut().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_its_reader_has_dropped_it() {
        let [first, second] = [1, 2].map(|byte| Bytes::from(vec![byte; 8]));
        let addresses = [first.as_ptr(), second.as_ptr()];
        let mut last = VecDeque::from([first.clone(), second.clone()]);
        assert!(used_again(&mut last.clone()).is_none(), "both are read");
        drop(second);
        let again = used_again(&mut last).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (addresses[1], 8));
        drop(first);
        assert_eq!(used_again(&mut last).unwrap().as_ptr(), addresses[0]);
    }
}
