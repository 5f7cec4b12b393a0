//! `SmallBlobs`: frequently read small blobs, such as image configs, cached by digest.
//!
//! The cache holds content only. On each request the store decides whether a repository has a blob, and whether a `HEAD` may
//! grant a lease on it.
//!
//! Caching a blob means hashing it once more, which costs more than reading it and pays only if the blob is read again.
//! So the cache takes a blob when it is read for the second time within the last few hundred reads.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, DriverPath, FileReader};

use crate::cache::ByDigest;
use crate::oci::Digest;
use crate::{Error, Result};

/// Verified small blobs, bounded by bytes.
#[derive(Debug)]
pub(crate) struct SmallBlobs {
    contents: ByDigest<Bytes>,
    seen: Seen,
}

/// The recently read blobs: each slot of the table holds the last one.
#[derive(Debug)]
struct Seen(Box<[AtomicU64]>);

impl SmallBlobs {
    pub(crate) const DEFAULT_BYTES: u64 = 8 << 20;

    /// Configs of images, charts and signatures are rarely larger; larger blobs are streamed.
    const MAX_BYTES: u64 = 32 * 1024;

    /// Creates a cache of `bytes` bytes; 0 caches nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { contents: ByDigest::new(bytes), seen: Seen::default() }
    }

    /// A range of a cached blob; `None` when the blob is not cached, or the range begins beyond its end: the driver has an
    /// error for that.
    pub(crate) fn reader(&self, canonical: &Digest, range: ByteRange) -> Option<FileReader> {
        let content = self.contents.get(canonical)?;
        let size_bytes = content.len() as u64;
        let range = range.resolve(size_bytes)?;
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        Some(FileReader::of_content(size_bytes, range, content.slice(start..end)))
    }

    /// The content of a cached blob.
    pub(crate) fn content(&self, canonical: &Digest) -> Option<Bytes> {
        self.contents.get(canonical)
    }

    /// Reads a small blob to its end and caches it, if `reader` has all of it and the blob was read recently; returns a
    /// reader of the same bytes.
    ///
    /// # Errors
    ///
    /// Any error of the driver during the read; `Corrupt` when the blob ends early.
    pub(crate) async fn keep(
        &self,
        canonical: &Digest,
        path: &DriverPath,
        reader: FileReader,
    ) -> Result<FileReader> {
        let (size_bytes, range) = (reader.size_bytes(), reader.range());
        if range != (0..size_bytes) || size_bytes > Self::MAX_BYTES || !self.contents.has_room() {
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
        if self.seen.record_read(canonical) {
            let actual = Digest::of(canonical.algorithm(), &content);
            if actual == *canonical {
                self.contents.insert(canonical, &content);
            } else {
                // The client compares the digest too and rejects the blob.
                tracing::error!(
                    %path,
                    "the data of blob {canonical} are damaged: they hash to {actual}; remove the file and push the image again"
                );
            }
        }
        Ok(FileReader::of_content(size_bytes, range, content))
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self((0..256).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Seen {
    /// Records the read of a blob and returns whether the blob was read recently.
    fn record_read(&self, digest: &Digest) -> bool {
        // The digits of a digest are uniformly distributed, so the first 16 serve as the hash.
        let start = digest.hex().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(start) = start else { return false };
        let place = usize::try_from(start % self.0.len() as u64).unwrap_or(0);
        self.0[place].swap(start, Ordering::Relaxed) == start
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_blob_is_seen_again_unless_too_many_others_were_seen_meanwhile() {
        let digest = |number: u32| Digest::sha256_of(&number.to_be_bytes());
        let seen = Seen::default();
        assert!(!seen.record_read(&digest(0)));
        assert!(seen.record_read(&digest(0)));
        let again = (1..10_000).filter(|number| seen.record_read(&digest(*number))).count();
        assert_eq!(again, 0, "no two are taken for one");
        assert!(!seen.record_read(&digest(0)));
    }

    #[test]
    fn what_is_read_twice_is_kept_and_what_is_damaged_or_large_is_not() {
        let blobs = SmallBlobs::new(1 << 20);
        let path: DriverPath = "/blob".parse().unwrap();
        let read = |digest: &Digest, content: &Bytes| {
            let len = content.len() as u64;
            let reader = FileReader::of_content(len, 0..len, content.clone());
            let reader = blobs.keep(digest, &path, reader).now_or_never().unwrap().unwrap();
            assert_eq!(reader.into_content().unwrap(), content);
            blobs.reader(digest, ByteRange::ALL).is_some()
        };
        let small = Bytes::from_static(b"content");
        let digest = Digest::sha256_of(&small);
        assert!(!read(&digest, &small));
        assert!(read(&digest, &small));
        let part = blobs.reader(&digest, ByteRange::new(2, 3)).unwrap();
        assert_eq!((part.size_bytes(), part.into_content().unwrap()), (7, "nte".into()));
        assert!(blobs.reader(&digest, ByteRange::from(8)).is_none());

        let large = Bytes::from(vec![0; 32 * 1024 + 1]);
        for (digest, content) in [(Digest::sha256_of(b"other"), &small), (Digest::sha256_of(&large), &large)]
        {
            for _ in 0..3 {
                assert!(!read(&digest, content));
            }
        }
    }

    #[test]
    fn hundreds_of_the_largest_small_blobs_take_no_more_than_their_share() {
        let blobs = SmallBlobs::new(1 << 20);
        let largest = Bytes::from(vec![0; 32 * 1024]);
        for number in 0..200_u32 {
            blobs.contents.insert(&Digest::sha256_of(&number.to_be_bytes()), &largest);
            assert!(blobs.contents.weight_bytes() <= 1 << 20);
        }
        assert!(blobs.contents.weight_bytes() > 1 << 18);
    }
}
