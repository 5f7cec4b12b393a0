//! Readers of a fill: streams and windows of a file that come as bytes are released.

use std::ops::Range;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sampan_driver::{FileReader, LocalFile, Result};
use tokio::sync::watch;

use super::FillError;
use super::client::Client;
use super::progress::{BytesLocation, Progress};

/// A reader of `range` of a blob of `size_bytes`, which is not empty unless the blob is verified.
pub(super) fn open(
    client: Arc<Client>,
    progress: watch::Receiver<Progress>,
    size_bytes: u64,
    range: Range<u64>,
) -> FileReader {
    let file = match progress.borrow().parts.as_deref() {
        Some([only]) => match &only.place {
            BytesLocation::Staged(view) => view.file(),
            BytesLocation::Spooled(_) | BytesLocation::Stored(..) => None,
        },
        _ => None,
    };
    let rest = || RemainingRead { client: client.clone(), progress: progress.clone(), range: range.clone() };
    let stream = chunks(rest());
    match file {
        Some(file) => {
            let elsewhere = Elsewhere::default();
            let windows = windows(rest(), Arc::clone(&elsewhere));
            let local = LocalFile { file, windows, rest: not_in_file(elsewhere) };
            FileReader::of_file(size_bytes, range, stream, local)
        }
        None => FileReader::new(size_bytes, range, stream),
    }
}

/// The part that a reader has not yielded yet.
struct RemainingRead {
    client: Arc<Client>,
    progress: watch::Receiver<Progress>,
    range: Range<u64>,
}

impl RemainingRead {
    /// Waits for released bytes; returns a reader of those at the beginning of the rest, or `None` at its end.
    async fn next(&mut self) -> Result<Option<FileReader>, FillError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let start = self.range.start;
        let is_due = |progress: &Progress| progress.failed.is_some() || progress.find(start).is_some();
        let found = {
            let progress = self.progress.wait_for(is_due).await.map_err(|_ended| FillError::Stopped)?;
            match &progress.failed {
                Some(error) => return Err(error.clone()),
                None => progress.find(start),
            }
        };
        let Some((place, end)) = found else { return Err(FillError::Stopped) };
        let end = end.min(self.range.end);
        let reader = place.reader(start..end).await?;
        self.range.start = end;
        Ok(Some(reader))
    }
}

fn chunks(rest: RemainingRead) -> BoxStream<'static, Result<bytes::Bytes>> {
    stream::try_unfold(rest, |mut rest| async move {
        match rest.next().await {
            Ok(reader) => Ok(reader.map(|reader| (reader.into_stream(), rest))),
            Err(error) => Err(error.in_stream(rest.client.digest())),
        }
    })
    .try_flatten()
    .boxed()
}

/// The rest after the windows of a file: the reader that has no such file, and what comes after it.
type Elsewhere = Arc<Mutex<Option<(FileReader, RemainingRead)>>>;

/// The windows up to the end, or to what is in a spool since the store has failed; that is left in `elsewhere`.
fn windows(rest: RemainingRead, elsewhere: Elsewhere) -> BoxStream<'static, Result<Range<u64>>> {
    stream::try_unfold((rest, elsewhere), |(mut rest, elsewhere)| async move {
        match rest.next().await {
            Ok(Some(reader)) => match reader.into_file() {
                Ok(local) => Ok(Some((local.windows, (rest, elsewhere)))),
                Err(reader) => {
                    *elsewhere.lock() = Some((reader, rest));
                    Ok(None)
                }
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.in_stream(rest.client.digest())),
        }
    })
    .try_flatten()
    .boxed()
}

/// The bytes that the windows have left.
fn not_in_file(elsewhere: Elsewhere) -> BoxStream<'static, Result<bytes::Bytes>> {
    let left = async move { elsewhere.lock().take() };
    let bytes = stream::once(left).flat_map(|left| match left {
        Some((reader, rest)) => reader.into_stream().chain(chunks(rest)).boxed(),
        None => stream::empty().boxed(),
    });
    bytes.boxed()
}
