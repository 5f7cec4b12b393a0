//! `SmallBlobs`: small blobs that were read, as the configurations of images are with every pull, kept by digest.
//!
//! Only content is kept. Whether a repository has a blob, and whether it may be promised to whoever asks by `HEAD`, is asked of
//! the store each time.

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, DriverPath, FileReader};

use crate::cache::ByDigest;
use crate::oci::Digest;
use crate::{Error, Result};

/// Small blobs whose bytes were compared with their digest, bounded by bytes.
#[derive(Debug)]
pub(crate) struct SmallBlobs(ByDigest<Bytes>);

impl SmallBlobs {
    pub(crate) const DEFAULT_BYTES: u64 = 8 << 20;

    /// The configurations of images, charts and signatures rarely have more; what has more is streamed.
    const MOST_BYTES: u64 = 32 * 1024;

    /// Room for so many `bytes`; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(ByDigest::new(bytes))
    }

    /// A range of a blob that is kept. One that begins beyond the end is left to the driver, which has an error for it.
    pub(crate) fn reader(&self, canonical: &Digest, range: ByteRange) -> Option<FileReader> {
        let content = self.0.get(canonical)?;
        let size_bytes = content.len() as u64;
        let range = range.resolve(size_bytes)?;
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        Some(FileReader::of_content(size_bytes, range, content.slice(start..end)))
    }

    /// Reads a small blob to its end and keeps it, if `reader` has the whole of it; gives a reader of the same.
    ///
    /// # Errors
    ///
    /// Those of the driver while it is read; `Corrupt` when it ends early.
    pub(crate) async fn keep(
        &self,
        canonical: &Digest,
        path: &DriverPath,
        reader: FileReader,
    ) -> Result<FileReader> {
        let (size_bytes, range) = (reader.size_bytes(), reader.range());
        if range != (0..size_bytes) || size_bytes > Self::MOST_BYTES || !self.0.has_room() {
            return Ok(reader);
        }
        let content = match reader.into_content() {
            Ok(content) => content,
            Err(reader) => collect(reader).await?,
        };
        if content.len() as u64 != size_bytes {
            let ends = format!("reading it ended after {} of {size_bytes} bytes", content.len());
            return Err(Error::Corrupt(path.clone(), ends.into()));
        }
        let actual = Digest::of(canonical.algorithm(), &content);
        if actual == *canonical {
            self.0.insert(canonical, content.clone());
        } else {
            // The client, who can compare it too, is the one to refuse it.
            tracing::error!(%path, "the data of blob {canonical} are damaged: they hash to {actual}");
        }
        Ok(FileReader::of_content(size_bytes, range, content))
    }
}

async fn collect(reader: FileReader) -> Result<Bytes> {
    let content = Vec::with_capacity(usize::try_from(reader.len()).unwrap_or(0));
    let chunks = reader.into_stream();
    let gathered = chunks.try_fold(content, |mut content, chunk| async move {
        content.extend_from_slice(&chunk);
        Ok(content)
    });
    Ok(gathered.await?.into())
}
