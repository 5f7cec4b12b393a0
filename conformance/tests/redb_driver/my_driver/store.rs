//! `Store`: the open database, and what a snapshot of it shows.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable};
use sampan_driver::{
    BoxError, ByteRange, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, Operation, Result,
    list_sorted_keys, may_block,
};

use super::changes::{Changes, Failure};
use super::tables::{FILES, PIECE_BYTES, PIECES, Part, STAGED, TableResult, Tables, below, decode};

/// The name of the driver, and of its section.
pub(super) const NAME: &str = "redb";

/// The open database. Dropping it closes the file.
#[derive(Debug)]
pub(super) struct Store {
    changes: Changes,
    database: Arc<Database>,
    next_id: AtomicU64,
}

impl Store {
    /// Opens or creates the database. Blocks.
    pub(super) fn open(file: &Path) -> Result<Self, BoxError> {
        let database = Arc::new(Database::builder().set_cache_size(64 << 20).create(file)?);
        let transaction = database.begin_write()?;
        drop(Tables::open(&transaction)?);
        transaction.commit()?;
        let last =
            Snapshot(database.begin_read()?).0.open_table(PIECES)?.last()?.map(|(key, _)| key.value().0);
        let changes = Changes::new(database.clone())?;
        Ok(Self { changes, database, next_id: AtomicU64::new(last.map_or(0, |last| last + 1)) })
    }

    /// A name for the bytes of one writer.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Looks at a snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        look: impl FnOnce(Snapshot) -> TableResult<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.database.clone();
        self.run(operation, path, move || look(Snapshot(database.begin_read()?))).await
    }

    /// Runs `work` where it may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        work: impl FnOnce() -> TableResult<T> + Send + 'static,
    ) -> Result<T> {
        let outcome = match may_block() {
            true => Ok(work()),
            false => tokio::task::spawn_blocking(work).await,
        };
        match outcome {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(kind))) => Err(error(kind, operation, path)),
            Ok(Err(broken)) => Err(error(kind_of(&broken), operation, path).with_source(broken)),
            Err(stopped) => Err(error(ErrorKind::Other, operation, path).with_source(stopped)),
        }
    }

    /// Makes a durable change.
    pub(super) async fn change(
        &self,
        operation: Operation,
        path: &DriverPath,
        change: impl FnOnce(&mut Tables<'_>) -> TableResult<()> + Send + 'static,
    ) -> Result<()> {
        self.wait(true, operation, path, change).await
    }

    /// Makes a change that only counts with a later one.
    pub(super) async fn prepare(
        &self,
        operation: Operation,
        path: &DriverPath,
        change: impl FnOnce(&mut Tables<'_>) -> TableResult<()> + Send + 'static,
    ) -> Result<()> {
        self.wait(false, operation, path, change).await
    }

    async fn wait(
        &self,
        is_durable: bool,
        operation: Operation,
        path: &DriverPath,
        change: impl FnOnce(&mut Tables<'_>) -> TableResult<()> + Send + 'static,
    ) -> Result<()> {
        match self.changes.begin(is_durable, change).await.unwrap_or(Err(Failure::Ended)) {
            Ok(()) => Ok(()),
            Err(Failure::Refused(kind)) => Err(error(kind, operation, path)),
            Err(Failure::Broken(broken)) => Err(error(kind_of(&broken), operation, path).with_source(broken)),
            Err(Failure::Ended) => Err(error(ErrorKind::Unavailable, operation, path)),
        }
    }

    /// Removes the bytes of a writer some time later.
    pub(super) fn forget(&self, id: u64) {
        drop(self.changes.begin(false, move |tables| Ok(Ok(tables.drop_parts(&[Part { id, size: 0 }])?))));
    }
}

/// An error of this driver.
pub(super) fn error(kind: ErrorKind, operation: Operation, path: &DriverPath) -> DriverError {
    DriverError::new(kind, NAME, operation, path)
}

fn kind_of(error: &redb::Error) -> ErrorKind {
    match error {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Other,
    }
}

/// The state of the store at one moment.
pub(super) struct Snapshot(ReadTransaction);

impl Snapshot {
    fn file(&self, key: &str) -> TableResult<(u64, Vec<Part>)> {
        let file = self.0.open_table(FILES)?.get(key)?;
        Ok(file.map(|file| (file.value().0, decode(file.value().1))).ok_or(ErrorKind::NotFound))
    }

    pub(super) fn stat(&self, path: &DriverPath) -> TableResult<FileInfo> {
        Ok(self.file(path.as_str())?.map(|(time, parts)| info(path.clone(), time, &parts)))
    }

    pub(super) fn content(&self, key: &str) -> TableResult<Bytes> {
        let mut opened = match self.open(key, ByteRange::ALL)? {
            Ok(opened) => opened,
            Err(kind) => return Ok(Err(kind)),
        };
        let mut content = Vec::new();
        while let Some(piece) = opened.next()? {
            content.extend_from_slice(&piece);
        }
        Ok(Ok(content.into()))
    }

    /// The parts and the note of the upload staged at `key`.
    pub(super) fn staged(&self, key: &str) -> TableResult<(Vec<Part>, Bytes)> {
        let staged = self.0.open_table(STAGED)?.get(key)?;
        let staged =
            staged.map(|staged| (decode(staged.value().0), Bytes::copy_from_slice(staged.value().1)));
        Ok(staged.ok_or(ErrorKind::NotFound))
    }

    pub(super) fn open(&self, key: &str, range: ByteRange) -> TableResult<Opened> {
        let parts = match self.file(key)? {
            Ok((_, parts)) => parts,
            Err(kind) => return Ok(Err(kind)),
        };
        let size = parts.iter().map(|part| part.size).sum();
        let Some(range) = range.resolve(size) else { return Ok(Err(ErrorKind::RangeInvalid)) };
        let (mut left, mut begin) = (VecDeque::new(), 0);
        for part in parts {
            for number in 0..part.size.div_ceil(PIECE_BYTES as u64) {
                let from = begin + number * PIECE_BYTES as u64;
                let to = begin + part.size.min((number + 1) * PIECE_BYTES as u64);
                if from < range.end && range.start < to {
                    let inside = (range.start.max(from) - from) as usize..(range.end.min(to) - from) as usize;
                    left.push_back((part.id, number, inside));
                }
            }
            begin += part.size;
        }
        Ok(Ok(Opened { size, range, left, pieces: self.0.open_table(PIECES)? }))
    }

    pub(super) fn list(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        most: usize,
    ) -> TableResult<Vec<DirEntry>> {
        let files = self.0.open_table(FILES)?;
        let first_from = |key: &str| {
            let first = files.range(key..)?.next().transpose()?;
            Ok::<_, redb::Error>(first.map(|(key, _)| key.value().to_owned()))
        };
        Ok(Ok(list_sorted_keys(path, after, first_from).take(most).collect::<Result<_, _>>()?))
    }

    pub(super) fn walk(
        &self,
        top: &DriverPath,
        after: Option<&DriverPath>,
        most: usize,
    ) -> TableResult<Vec<FileInfo>> {
        let (first, end) = below(top);
        let first = first.max(after.map_or_else(String::new, |after| format!("{after}\0")));
        let mut infos = Vec::new();
        if first < end {
            for file in self.0.open_table(FILES)?.range(first.as_str()..end.as_str())?.take(most) {
                let (key, value) = file?;
                if let Ok(path) = key.value().parse() {
                    infos.push(info(path, value.value().0, &decode(value.value().1)));
                }
            }
        }
        Ok(Ok(infos))
    }
}

fn info(path: DriverPath, time: u64, parts: &[Part]) -> FileInfo {
    let size_bytes = parts.iter().map(|part| part.size).sum();
    FileInfo { path, size_bytes, modified: UNIX_EPOCH + Duration::from_nanos(time) }
}

/// A file that is being read. Its table keeps the snapshot, so a deletion does not reach it.
pub(super) struct Opened {
    pub(super) size: u64,
    pub(super) range: Range<u64>,
    /// Part, number of the piece, and the bytes of it that are asked for.
    left: VecDeque<(u64, u64, Range<usize>)>,
    pieces: ReadOnlyTable<(u64, u64), &'static [u8]>,
}

impl Opened {
    /// The bytes of the next piece.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, redb::Error> {
        let Some((id, number, inside)) = self.left.pop_front() else { return Ok(None) };
        let piece = self.pieces.get((id, number))?;
        let bytes = piece.as_ref().and_then(|piece| piece.value().get(inside).map(Bytes::copy_from_slice));
        bytes
            .map(Some)
            .ok_or_else(|| redb::Error::Corrupted(format!("piece {number} of part {id} is missing")))
    }
}
