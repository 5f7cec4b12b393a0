//! A file as a stream of windows, for sending it without reading it.
//!
//! Sending must not wait for the disk on an async thread. So each window is checked before it is yielded: a
//! cached one is yielded at once, another one is first read on the pool, followed by the next one while this
//! one is sent.

use std::fs::File;
use std::ops::Range;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rustix::io::Errno;
use sampan_driver::Result;

use crate::error::Failure;
use crate::page_cache;
use crate::pool::Job;
use crate::read::Part;

/// Sent to a fast client in well under a millisecond.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// The size of a read that fills the page cache.
const STRIDE_BYTES: usize = 64 * 1024;

/// The windows of `part`, each checked when it is polled.
pub(crate) fn windows(part: Part) -> BoxStream<'static, Result<Range<u64>>> {
    stream::try_unfold(Windows { part, ahead: None }, |mut windows| async move {
        match windows.next().await {
            Ok(window) => Ok(window.map(|window| (window, windows))),
            Err(failure) => Err(windows.part.error(failure)),
        }
    })
    .boxed()
}

struct Windows {
    part: Part,
    ahead: Option<Job<()>>,
}

impl Windows {
    async fn next(&mut self) -> Result<Option<Range<u64>>, Failure> {
        let window = self.first();
        if window.is_empty() {
            return Ok(None);
        }
        let was_cold = match &mut self.ahead {
            Some(job) => {
                let result = job.outcome().await;
                self.ahead = None;
                result?;
                true
            }
            None if page_cache::is_cached(&self.part.file, window.clone()) => false,
            None => {
                self.part.store.pool.run(self.warm_up(window.clone())).await?;
                true
            }
        };
        self.part.rest.start = window.end;
        let next = self.first();
        if was_cold && !next.is_empty() && !page_cache::is_cached(&self.part.file, next.clone()) {
            // Best effort: without a free permit the next window is read when it is needed.
            self.ahead = self.part.store.pool.try_permit().map(|permit| permit.start(self.warm_up(next)));
        }
        Ok(Some(window))
    }

    fn first(&self) -> Range<u64> {
        self.part.rest.start..self.part.rest.end.min(self.part.rest.start + WINDOW_BYTES)
    }

    fn warm_up(&self, window: Range<u64>) -> impl FnOnce() -> Result<(), Failure> + Send + 'static {
        let file = self.part.file.clone();
        move || warm_up(&file, window)
    }
}

/// Reads `window` into the page cache.
///
/// A sequential read makes the kernel read ahead by itself, and into large pages, which cost half as much to
/// fill and send as the small ones that advice brings (`POSIX_FADV_WILLNEED`).
fn warm_up(file: &File, window: Range<u64>) -> Result<(), Failure> {
    let mut buffer = vec![0; STRIDE_BYTES];
    let mut offset = window.start;
    while offset < window.end {
        let wanted = buffer.len().min(usize::try_from(window.end - offset).unwrap_or(usize::MAX));
        match rustix::io::pread(file, &mut buffer[..wanted], offset) {
            Ok(0) => return Err(Failure::SizeChanged { expected: window.end, found: offset }),
            Ok(read) => offset += read as u64,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt;
    use rustix::fs::Advice;

    use super::*;
    use crate::shared_file::SharedFile;
    use crate::store::Store;

    #[tokio::test]
    async fn uncached_content_is_read_before_its_window_is_yielded() {
        let dir = tempfile::tempdir().unwrap();
        let content = vec![7; 3 * 1024 * 1024 + 1];
        std::fs::write(dir.path().join("file"), &content).unwrap();
        let file = Arc::new(File::open(dir.path().join("file")).unwrap());
        // Not every file system can evict; then this tests the other path.
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let store = Arc::new(Store::open(dir.path().to_owned(), 25).unwrap());
        let part = Part {
            store,
            path: "/file".parse().unwrap(),
            file: SharedFile::new(Arc::clone(&file)),
            rest: 5..3_145_729,
        };
        let mut windows = windows(part);
        let (mut end, mut buffer) = (5, [0; 4096]);
        while let Some(window) = windows.try_next().await.unwrap() {
            assert_eq!(window.start, end);
            end = window.end;
            for offset in window.step_by(buffer.len()) {
                let wanted = buffer.len().min(usize::try_from(end - offset).unwrap());
                // Where the kernel does not support the query, nothing counts as cached.
                let found = page_cache::fill(&file, offset, &mut buffer[..wanted]);
                assert!(found == wanted || page_cache::fill(&file, 0, &mut [0]) == 0, "at {offset}: {found}");
            }
        }
        assert_eq!(end, 3_145_729);
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), [7; 100]).unwrap();
        let file = File::open(dir.path().join("file")).unwrap();
        warm_up(&file, 10..100).unwrap();
        let failure = warm_up(&file, 10..101).unwrap_err();
        assert!(matches!(failure, Failure::SizeChanged { expected: 101, found: 100 }), "{failure:?}");
    }
}
