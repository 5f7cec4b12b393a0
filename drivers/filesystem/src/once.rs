//! A file as a stream of chunks for a reader that reads it once: a collection, a verification, a command.
//!
//! Such a reader runs on a thread of its own, which may wait for the disk ([`may_block`](sampan_driver::may_block)). What it
//! reads would push out of the page cache what clients pull, so a chunk that was not cached before is not cached afterwards.
//! The kernel reads one chunk ahead, and no more: it cannot know which of its own pages to drop.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rustix::fs::Advice;
use sampan_driver::Result;

use crate::error::Failure;
use crate::page_cache;
use crate::pooled_buffer::{BufferSlot, PooledBuffer};
use crate::read::Part;

/// The size of a read.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// The bytes of `part`, read on demand on the calling thread, if it may block.
pub(crate) fn once(part: Part) -> BoxStream<'static, Result<Bytes>> {
    // Only advice, here and below: a file system that ignores it reads as before.
    _ = rustix::fs::fadvise(&*part.file, 0, None, Advice::Random);
    let once = SingleRead { part, home: BufferSlot::default(), is_cold: None };
    stream::try_unfold(once, |mut once| async move {
        match once.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, once))),
            Err(failure) => Err(once.part.error(failure)),
        }
    })
    .boxed()
}

struct SingleRead {
    part: Part,
    home: BufferSlot,
    /// Whether the next chunk was cached before the kernel was asked to read it ahead, if it was asked.
    is_cold: Option<bool>,
}

impl SingleRead {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let chunk = self.first();
        if chunk.is_empty() {
            return Ok(None);
        }
        let is_cold =
            self.is_cold.take().unwrap_or_else(|| !page_cache::is_cached(&self.part.file, chunk.clone()));
        self.part.rest.start = chunk.end;
        let following = self.first();
        if !following.is_empty() {
            let is_cold = !page_cache::is_cached(&self.part.file, following.clone());
            self.is_cold = Some(is_cold);
            if is_cold {
                self.advise(&following, Advice::WillNeed);
            }
        }
        let (home, file, range) = (self.home.clone(), self.part.file.clone(), chunk.clone());
        let bytes = self.part.store.pool.run(move || PooledBuffer::read(&home, &file, range)).await?;
        if is_cold {
            self.advise(&chunk, Advice::DontNeed);
        }
        Ok(Some(bytes))
    }

    fn first(&self) -> Range<u64> {
        let rest = &self.part.rest;
        rest.start..rest.end.min(rest.start + CHUNK_BYTES)
    }

    fn advise(&self, range: &Range<u64>, advice: Advice) {
        let len = std::num::NonZeroU64::new(range.end - range.start);
        _ = rustix::fs::fadvise(&*self.part.file, range.start, len, advice);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, TryStreamExt};
    use sampan_driver::{ByteRange, StorageDriver, allow_blocking};

    use super::*;
    use crate::driver::FilesystemDriver;
    use crate::store::Store;

    /// Cached parts stay cached, and others are as they were; what comes is the file.
    #[test]
    fn the_page_cache_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..8 * CHUNK_BYTES + 77).map(|at| (at / 1000) as u8).collect();
        let path = dir.path().join("file");
        std::fs::write(&path, &content).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        rustix::fs::fsync(&file).unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // The first chunks are in use by others.
        rustix::fs::fadvise(&file, 0, None, Advice::Random).unwrap();
        let mut first = vec![0; 2 * CHUNK_BYTES as usize];
        rustix::io::pread(&file, &mut first[..], 0).unwrap();
        let chunks = |file: &std::fs::File| -> Vec<bool> {
            (0..9)
                .map(|at| page_cache::is_cached(file, at * CHUNK_BYTES..(at + 1) * CHUNK_BYTES - 4096))
                .collect()
        };
        let before = chunks(&file);
        if page_cache::is_on_tmpfs(&file) {
            eprintln!("not run: all files of tmpfs are in memory");
            return;
        }
        assert!(before[0] && !before[7], "{before:?}");
        let driver =
            FilesystemDriver::over(std::sync::Arc::new(Store::open(dir.path().to_owned(), 25).unwrap()));
        let read = allow_blocking(|| {
            let read = async {
                let reader = driver.reader(&"/file".parse().unwrap(), ByteRange::ALL).await.unwrap();
                reader.into_stream().try_collect::<Vec<Bytes>>().await.unwrap()
            };
            read.now_or_never().unwrap().concat()
        });
        assert!(read == content, "other bytes");
        assert_eq!(chunks(&file), before);
    }
}
