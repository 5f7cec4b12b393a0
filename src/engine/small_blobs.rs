//! `SmallBlobs`: small blobs that are read again and again, as the configurations of images are, kept by digest.
//!
//! Only content is kept. Whether a repository has a blob, and whether it may be promised to whoever asks by `HEAD`, is asked of
//! the store each time.
//!
//! To keep a blob it is hashed once more, which for one that nobody asks for again costs more than reading it did.
//! So a blob is kept when it is read for a second time within the last few hundred.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, DriverPath, FileReader};

use crate::cache::ByDigest;
use crate::oci::Digest;
use crate::{Error, Result};

/// Small blobs whose bytes were compared with their digest, bounded by bytes.
#[derive(Debug)]
pub(crate) struct SmallBlobs {
    contents: ByDigest<Bytes>,
    seen: Seen,
}

/// Which blobs were read a short while ago: of each place in the table, the last one.
#[derive(Debug)]
struct Seen(Box<[AtomicU64]>);

impl SmallBlobs {
    pub(crate) const DEFAULT_BYTES: u64 = 8 << 20;

    /// The configurations of images, charts and signatures rarely have more; what has more is streamed.
    const MOST_BYTES: u64 = 32 * 1024;

    /// Room for so many `bytes`; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { contents: ByDigest::new(bytes), seen: Seen::default() }
    }

    /// A range of a blob that is kept. One that begins beyond the end is left to the driver, which has an error for it.
    pub(crate) fn reader(&self, canonical: &Digest, range: ByteRange) -> Option<FileReader> {
        let content = self.contents.get(canonical)?;
        let size_bytes = content.len() as u64;
        let range = range.resolve(size_bytes)?;
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        Some(FileReader::of_content(size_bytes, range, content.slice(start..end)))
    }

    /// Reads a small blob to its end and keeps it, if `reader` has the whole of it and not for the first time; gives a reader
    /// of the same.
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
        if range != (0..size_bytes) || size_bytes > Self::MOST_BYTES || !self.contents.has_room() {
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
        if self.seen.again(canonical) {
            let actual = Digest::of(canonical.algorithm(), &content);
            if actual == *canonical {
                self.contents.insert(canonical, &content);
            } else {
                // The client, who can compare it too, is the one to refuse it.
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
    /// Notes a blob; tells whether it was noted a short while ago.
    fn again(&self, digest: &Digest) -> bool {
        // A digest is as random as a hash can be, so its beginning serves for one.
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
        assert!(!seen.again(&digest(0)));
        assert!(seen.again(&digest(0)));
        let again = (1..10_000).filter(|number| seen.again(&digest(*number))).count();
        assert_eq!(again, 0, "no two are taken for one");
        assert!(!seen.again(&digest(0)));
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
