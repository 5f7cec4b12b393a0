//! Reads files: small ones whole, others as a stream of chunks or windows (modules `chunks`, `readahead`).

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, OFlags, Stat};
use rustix::io::Errno;
use sampan_driver::{ByteRange, DriverError, DriverPath, FileReader, LocalFile, Operation, may_block};

use crate::chunks::chunks;
use crate::error::Failure;
use crate::file;
use crate::once::once;
use crate::page_cache;
use crate::readahead::windows;
use crate::root::{READ, Root};
use crate::shared_file::SharedFile;
use crate::store::Store;

/// From this length the kernel is advised that the file will be read sequentially.
const SEQUENTIAL_BYTES: u64 = 1024 * 1024;

/// The unread part of an open file.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) store: Arc<Store>,
    pub(crate) path: DriverPath,
    pub(crate) file: SharedFile,
    pub(crate) rest: Range<u64>,
}

impl Part {
    pub(crate) fn len(&self) -> u64 {
        self.rest.end - self.rest.start
    }

    /// The driver's error for a failed read.
    pub(crate) fn error(&self, failure: Failure) -> DriverError {
        self.store.error(Operation::Read, &self.path, failure)
    }
}

/// Opens the file `key`, waiting for the disk if necessary.
pub(crate) fn open(root: &Root, key: &str, flags: OFlags) -> Result<(File, Stat), Failure> {
    file::regular(root.find(key, flags)?)
}

/// The whole content of the file at `path`.
pub(crate) async fn read_whole(store: &Arc<Store>, path: &DriverPath) -> Result<Bytes, Failure> {
    let Some(found) = store.root.find_cached(path.as_key(), READ)? else {
        let (waiting, path) = (Arc::clone(store), path.clone());
        return store
            .pool
            .run(move || {
                let (file, stat) = open(&waiting.root, path.as_key(), READ)?;
                exactly(&file, 0, file::size_bytes(&stat))
            })
            .await;
    };
    if let Some(content) = page_cache::tiny(&found) {
        return Ok(content);
    }
    let (file, stat) = file::regular(found)?;
    let len = file::size_bytes(&stat);
    match page_cache::read(&file, 0, len) {
        Some(content) => Ok(content),
        None => store.pool.run(move || exactly(&file, 0, len)).await,
    }
}

/// A reader of `range` of the file at `path`.
pub(crate) async fn reader(
    store: &Arc<Store>,
    path: &DriverPath,
    range: ByteRange,
) -> Result<FileReader, Failure> {
    let (file, stat) = match page_cache::open(&store.root, path.as_key(), READ)? {
        Some(opened) => opened,
        None => {
            let (waiting, path) = (Arc::clone(store), path.clone());
            store.pool.run(move || open(&waiting.root, path.as_key(), READ)).await?
        }
    };
    let size_bytes = file::size_bytes(&stat);
    let Some(bytes) = range.resolve(size_bytes) else {
        return Err(Failure::RangeInvalid { offset: range.offset, size_bytes });
    };
    if let Some(content) = page_cache::read(&file, bytes.start, bytes.end - bytes.start) {
        return Ok(FileReader::of_content(size_bytes, bytes, content));
    }
    if bytes.end - bytes.start >= SEQUENTIAL_BYTES && !may_block() {
        // Only advice: a file system that ignores it reads as before.
        _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
    }
    let file = Arc::new(file);
    let part = Part {
        store: Arc::clone(store),
        path: path.clone(),
        file: SharedFile::new(Arc::clone(&file)),
        rest: bytes.clone(),
    };
    if bytes.end - bytes.start <= page_cache::MAX_BYTES {
        return Ok(FileReader::new(size_bytes, bytes, chunks(part)));
    }
    let windows = windows(part.clone());
    let stream = if may_block() { once(part) } else { chunks(part) };
    Ok(FileReader::of_file(size_bytes, bytes, stream, LocalFile::new(file, windows)))
}

/// The `len` bytes from `offset`; the file must have them.
pub(crate) fn exactly(file: &File, offset: u64, len: u64) -> Result<Bytes, Failure> {
    let capacity = usize::try_from(len).map_err(|_| Errno::NOMEM)?;
    let mut content = Vec::new();
    content.try_reserve_exact(capacity).map_err(|_| Errno::NOMEM)?;
    while content.len() < capacity {
        let found = content.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut content), offset + found) {
            Ok(0) => return Err(Failure::SizeChanged { expected: offset + len, found: offset + found }),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    content.truncate(capacity); // The allocation may be larger than requested, and the file may have grown.
    Ok(content.into())
}
