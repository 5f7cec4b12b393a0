//! Content that no registry has seen before, made and hashed outside the measured time.

use bytes::Bytes;
use rand::Rng;
use sha2::{Digest, Sha256};

/// How many bytes at the end of a blob are unique to it.
pub(crate) const TAIL: u64 = 32;

/// The size of the random content in memory. A larger blob repeats it at a distance beyond the window of any compression.
const POOL: u64 = 32 << 20;

/// The size of the pieces of a body.
const PIECE: u64 = 256 << 10;

/// Makes blobs of one size: shared random content, and a unique end. The hash of the shared part is computed once, so a new
/// blob costs almost nothing.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pool: Bytes,
    size: u64,
    hash: Sha256,
}

impl Source {
    /// A source of blobs of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        let mut pool = vec![0; size.min(POOL) as usize];
        rand::rng().fill(&mut pool[..]);
        let pool = Bytes::from(pool);
        let mut hash = Sha256::new();
        for piece in pieces(&pool, 0, size - TAIL) {
            hash.update(&piece);
        }
        Self { pool, size, hash }
    }

    /// How many bytes its blobs have.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A new, unique blob.
    pub(crate) fn blob(&self) -> Blob {
        let tail: [u8; TAIL as usize] = rand::random();
        let digest = digest_of(self.hash.clone().chain_update(tail));
        Blob { digest, size: self.size, pool: self.pool.clone(), tail: Bytes::copy_from_slice(&tail) }
    }
}

/// Content and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    /// `sha256:…`.
    pub(crate) digest: String,
    /// How many bytes.
    pub(crate) size: u64,
    pool: Bytes,
    tail: Bytes,
}

impl Blob {
    /// The given content.
    pub(crate) fn of(content: impl Into<Bytes>) -> Self {
        let tail = content.into();
        let digest = digest_of(Sha256::new_with_prefix(&tail));
        Self { digest, size: tail.len() as u64, pool: Bytes::new(), tail }
    }

    /// The digest without the name of its algorithm.
    pub(crate) fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }

    /// The next piece from an offset, up to `end`; empty at the end.
    pub(crate) fn piece(&self, at: u64, end: u64) -> Option<Bytes> {
        let shared = self.size - self.tail.len() as u64;
        if at >= end {
            None
        } else if at < shared {
            pieces(&self.pool, at, shared.min(end)).next()
        } else {
            Some(self.tail.slice((at - shared) as usize..(end - shared) as usize))
        }
    }

    /// The whole content, piece by piece.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let piece = self.piece(at, self.size)?;
            at += piece.len() as u64;
            Some(piece)
        })
    }
}

/// The pool's content from `at` to `end`, repeated without end.
fn pieces(pool: &Bytes, mut at: u64, end: u64) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let start = at % pool.len() as u64;
        let len = PIECE.min(end - at).min(pool.len() as u64 - start);
        at += len;
        Some(pool.slice(start as usize..(start + len) as usize))
    })
}

/// `sha256:…` of the hashed bytes.
pub(crate) fn digest_of(hash: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(blob: &Blob) -> Vec<u8> {
        blob.pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn the_digest_is_that_of_the_content() {
        for size in [TAIL, 1024, PIECE, PIECE + TAIL + 1, 2 * PIECE + 7] {
            let blob = Source::new(size).blob();
            let content = content(&blob);
            assert_eq!(content.len() as u64, size);
            assert_eq!(blob.digest, digest_of(Sha256::new_with_prefix(&content)));
        }
        let given = Blob::of("abc");
        assert_eq!(given.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(content(&given), b"abc");
    }

    #[test]
    fn no_two_blobs_are_alike() {
        let source = Source::new(100);
        assert_ne!(source.blob().digest, source.blob().digest);
    }

    #[test]
    fn a_blob_in_parts_is_the_blob() {
        let blob = Source::new(PIECE + 1000).blob();
        let mut parts = Vec::new();
        for (start, end) in [(0, 1000), (1000, PIECE + 990), (PIECE + 990, PIECE + 1000)] {
            let mut at = start;
            while let Some(piece) = blob.piece(at, end) {
                at += piece.len() as u64;
                parts.extend_from_slice(&piece);
            }
        }
        assert_eq!(parts, content(&blob));
    }
}
