//! Reading files: whole small ones, and streams with one chunk read ahead.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, OFlags, Stat};
use rustix::io::Errno;
use sampan_driver::{ByteRange, DriverPath, FileReader, Operation, Result};

use crate::error::Failure;
use crate::file;
use crate::inline;
use crate::root::{READ, Root};
use crate::store::Store;

/// One trip to the pool each: larger ones cost memory, smaller ones more trips.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// Opens the file that `key` names, waiting for the disk if need be.
pub(crate) fn open(root: &Root, key: &str, flags: OFlags) -> Result<(File, Stat), Failure> {
    let found = root.find(key, flags)?;
    let stat = rustix::fs::fstat(&found)?;
    if !file::is_regular(&stat) {
        return Err(Failure::Missing);
    }
    Ok((found.into(), stat))
}

/// The whole of the file at `path`.
pub(crate) async fn whole(store: &Arc<Store>, path: &DriverPath) -> Result<Bytes, Failure> {
    let Some((file, stat)) = inline::open(&store.root, path.as_key(), READ)? else {
        let (waiting, path) = (Arc::clone(store), path.clone());
        return store
            .pool
            .run(move || {
                let (file, stat) = open(&waiting.root, path.as_key(), READ)?;
                exactly(&file, 0, file::size_bytes(&stat))
            })
            .await;
    };
    let len = file::size_bytes(&stat);
    match inline::read(&file, 0, len) {
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
    let (file, stat) = match inline::open(&store.root, path.as_key(), READ)? {
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
    if bytes.end - bytes.start >= CHUNK_BYTES {
        // Only advice: a file system that does not take it reads as it did before.
        _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
    }
    let file = Arc::new(file);
    let chunks = Chunks {
        store: Arc::clone(store),
        path: path.clone(),
        file: Arc::clone(&file),
        rest: bytes.clone(),
        ahead: None,
    };
    Ok(FileReader::new(size_bytes, bytes, chunks.into_stream()).with_file(file))
}

/// What is still to be read of a file.
struct Chunks {
    store: Arc<Store>,
    path: DriverPath,
    file: Arc<File>,
    rest: Range<u64>,
    ahead: Option<crate::pool::Job<Bytes>>,
}

impl Chunks {
    fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, |mut chunks| async move {
            match chunks.next().await {
                Ok(chunk) => Ok(chunk.map(|chunk| (chunk, chunks))),
                Err(failure) => Err(chunks.store.error(Operation::Read, &chunks.path, failure)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let chunk = match &mut self.ahead {
            Some(job) => {
                let result = job.outcome().await;
                self.ahead = None;
                result?
            }
            None => match inline::read(&self.file, self.rest.start, self.rest.end - self.rest.start) {
                Some(chunk) => chunk,
                None => self.store.pool.run(self.read()).await?,
            },
        };
        self.rest.start += chunk.len() as u64;
        if !self.rest.is_empty() {
            // Reading ahead is a kindness that waits for nobody: without a free seat the next call reads for itself.
            self.ahead = self.store.pool.free_seat().map(|seat| seat.start(self.read()));
        }
        Ok(Some(chunk))
    }

    fn read(&self) -> impl FnOnce() -> Result<Bytes, Failure> + Send + 'static {
        let (file, offset) = (Arc::clone(&self.file), self.rest.start);
        let len = CHUNK_BYTES.min(self.rest.end - offset);
        move || exactly(&file, offset, len)
    }
}

/// The `len` bytes from `offset` on, which the file must have.
fn exactly(file: &File, offset: u64, len: u64) -> Result<Bytes, Failure> {
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
    content.truncate(capacity); // An allocator may give more room than asked for, and the file may have grown.
    Ok(content.into())
}
