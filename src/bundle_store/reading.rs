//! `Piece`: a range of a content, as windows of its file or as chunks of bytes.
//!
//! Both follow the check of the content as long as it runs: see [`Checks`](crate::checks::Checks).

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{DriverError, DriverPath, FileReader, LocalFile, Operation, Result};
use tokio::sync::watch;

use crate::checks::{Progress, Unreadable, ends_early};
use crate::contents::{ContentIndex, Contents};
use crate::driver::{error, unreadable};
use crate::page_cache::{is_cached, warm_up};
use crate::threads::Threads;

/// The size of a window and of a chunk, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;

/// The unread part of a content.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) contents: Arc<Contents>,
    pub(crate) threads: Arc<Threads>,
    pub(crate) place: ContentIndex,
    /// The path by which the content was asked for.
    pub(crate) path: DriverPath,
    /// The rest, within the content.
    pub(crate) rest: Range<u64>,
    /// The check of the content, unless it has ended.
    pub(crate) check: Option<watch::Receiver<Progress>>,
}

impl Piece {
    /// The piece as a reader. A piece that reaches over several files has no windows.
    pub(crate) fn into_reader(self) -> FileReader {
        let (size_bytes, range) = (self.contents.size_bytes(self.place), self.rest.clone());
        let start = self.contents.range(self.place).start;
        let whole = start + range.start..start + range.end;
        match self.contents.files(self.place).contiguous(&whole) {
            Some((file, in_file)) => {
                let windows = self.clone().into_windows(file.clone(), in_file.start);
                FileReader::of_file(size_bytes, range, self.into_chunks(), LocalFile::new(file, windows))
            }
            None => FileReader::new(size_bytes, range, self.into_chunks()),
        }
    }

    /// The positions in the file where the piece begins at `start`.
    fn into_windows(self, file: Arc<File>, start: u64) -> BoxStream<'static, Result<Range<u64>>> {
        let first = self.rest.start;
        let state = (self, file);
        stream::try_unfold(state, move |(mut piece, file)| async move {
            let Some(window) = piece.next().await? else { return Ok(None) };
            let window = window.start - first + start..window.end - first + start;
            if !is_cached(&file, window.clone()) {
                let (warmed, range) = (file.clone(), window.clone());
                piece
                    .blocking(move || warm_up(&warmed, range))
                    .await?
                    .map_err(|failed| error(Operation::Read, &piece.path).with_source(failed))?;
            }
            Ok(Some((window, (piece, file))))
        })
        .boxed()
    }

    /// The bytes.
    fn into_chunks(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, |mut piece| async move {
            let Some(window) = piece.next().await? else { return Ok(None) };
            let (contents, place) = (piece.contents.clone(), piece.place);
            let read = piece.blocking(move || {
                let mut chunk = vec![0; usize::try_from(window.end - window.start).unwrap_or(usize::MAX)];
                let offset = contents.range(place).start + window.start;
                match contents.files(place).fill(offset, &mut chunk).map_err(Unreadable::medium)? {
                    filled if filled < chunk.len() => Err(Unreadable::medium(ends_early(&contents, place))),
                    _ => Ok(Bytes::from(chunk)),
                }
            });
            let chunk = read.await?.map_err(|failed| unreadable(Operation::Read, &piece.path, failed))?;
            Ok(Some((chunk, piece)))
        })
        .boxed()
    }

    /// The next window within the content, once the check has read it; the last one once all of the content is verified.
    async fn next(&mut self) -> Result<Option<Range<u64>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let window = self.rest.start..self.rest.end.min(self.rest.start + WINDOW_BYTES);
        while let Some(check) = &mut self.check {
            let progress = check.borrow_and_update().clone();
            match progress {
                Progress::Verified => {
                    self.check = None;
                    break;
                }
                Progress::Failed(failed) => return Err(unreadable(Operation::Read, &self.path, failed)),
                Progress::Hashed(bytes) if bytes >= window.end && window.end < self.rest.end => break,
                Progress::Hashed(_) => {}
            }
            if let Err(gone) = check.changed().await {
                return Err(error(Operation::Read, &self.path).with_source(gone));
            }
        }
        self.rest.start = window.end;
        Ok(Some(window))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DriverError> {
        self.threads.run(Operation::Read, &self.path, work).await
    }
}
