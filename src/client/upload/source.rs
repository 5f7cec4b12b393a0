//! `BlobSource`: content that can be read again from any position.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use sampan_engine::oci::Digest;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::repository::RepositoryClient;

/// Bytes in order.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The content of a blob, for an upload that may have to begin again or to continue within it.
pub trait BlobSource: Send + Sync {
    /// The bytes from `offset` to the end. A later call gives the same bytes.
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<ByteStream>>;
}

/// Content in memory.
#[derive(Clone, Debug)]
pub struct BytesSource(pub Bytes);

impl BlobSource for BytesSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<ByteStream>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let rest = self.0.slice(start..);
        Box::pin(async { Ok(stream::iter((!rest.is_empty()).then_some(Ok(rest))).boxed()) })
    }
}

/// A part of a file, such as a blob within an archive.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// The file.
    pub path: PathBuf,
    /// The position of the content in the file, in bytes.
    pub start: u64,
    /// The length of the content in bytes.
    pub length: u64,
}

/// How much of a file is read at once.
const READ_BYTES: usize = 256 << 10;

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<ByteStream>> {
        Box::pin(async move {
            let mut file = tokio::fs::File::open(&self.path).await?;
            file.set_max_buf_size(READ_BYTES);
            file.seek(io::SeekFrom::Start(self.start + offset)).await?;
            let rest = file.take(self.length.saturating_sub(offset));
            let chunks = stream::try_unfold(rest, async |mut rest| {
                let mut chunk = BytesMut::with_capacity(READ_BYTES);
                let read = rest.read_buf(&mut chunk).await?;
                Ok((read > 0).then(|| (chunk.freeze(), rest)))
            });
            Ok(chunks.boxed())
        })
    }
}

/// A blob of another registry.
#[derive(Clone, Debug)]
pub struct RemoteSource {
    /// The repository that has it.
    pub repository: RepositoryClient,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

impl BlobSource for RemoteSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<ByteStream>> {
        Box::pin(async move {
            let blob = match offset {
                0 => self.repository.blob(&self.digest, Some(self.size_bytes)).await,
                _ => self.repository.blob_from(&self.digest, self.size_bytes, offset).await,
            };
            let blob = blob.map_err(io::Error::other)?;
            let missing = || {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("{} has no blob {}", self.repository.name(), self.digest),
                )
            };
            Ok(blob.ok_or_else(missing)?.into_stream().map_err(io::Error::other).boxed())
        })
    }
}
