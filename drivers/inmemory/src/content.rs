//! `Content`: a file's bytes as a list of shared chunks, and the budget that they count against.
//!
//! Chunks stay as they were written, so appending copies nothing. Only small ones are merged, so that a
//! thousand tiny writes do not cause a thousand tiny allocations.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use sampan_driver::DriverPath;

/// The most bytes that a store may hold, and the bytes in use.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    taken_bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, taken_bytes: AtomicU64::new(0) }
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Reserves the cost of a file at `path` without its content; `None` if less is left.
    pub(crate) fn take_entry(self: &Arc<Self>, path: &DriverPath) -> Option<Reservation> {
        self.take(path.as_str().len() as u64 + ENTRY_BYTES)
    }

    /// Reserves `bytes` until the reservation is dropped; `None` if fewer are left.
    fn take(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { budget: self.clone(), bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// A part of a budget, returned on drop, whether the file was deleted, replaced or abandoned.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    fn grow(&mut self, bytes: u64) -> bool {
        let limit = self.budget.limit_bytes;
        let taken = self.budget.taken_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|taken| *taken <= limit)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A file's bytes; append-only.
#[derive(Debug)]
pub(crate) struct Content {
    chunks: Vec<Chunk>,
    /// Small writes to be merged into a chunk.
    tail: BytesMut,
    reservation: Reservation,
}

#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The offset of the first byte after this chunk, for binary search.
    pub(crate) end: u64,
    bytes: Bytes,
}

/// The first part of `range` that is in one of `chunks`; empty at the end.
pub(crate) fn first_piece(chunks: &[Chunk], range: Range<u64>) -> Bytes {
    let index = chunks.partition_point(|chunk| chunk.end <= range.start);
    let Some(chunk) = chunks.get(index).filter(|_| !range.is_empty()) else { return Bytes::new() };
    let begin = chunk.end - chunk.bytes.len() as u64;
    let end = chunk.end.min(range.end);
    chunk.bytes.slice((range.start - begin) as usize..(end - begin) as usize)
}

impl Content {
    /// Empty content.
    pub(crate) fn empty(budget: &Arc<Budget>) -> Self {
        let reservation = Reservation { budget: budget.clone(), bytes: 0 };
        Self { chunks: Vec::new(), tail: BytesMut::new(), reservation }
    }

    /// Content of one chunk; `None` if the budget is exceeded.
    pub(crate) fn whole(bytes: Bytes, budget: &Arc<Budget>) -> Option<Self> {
        let end = bytes.len() as u64;
        let reservation = budget.take(end)?;
        // A short slice would keep the whole buffer that it is a part of, such as a connection's.
        let bytes = if bytes.len() < GATHER_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes };
        let chunks = if bytes.is_empty() { Vec::new() } else { vec![Chunk { end, bytes }] };
        Some(Self { chunks, tail: BytesMut::new(), reservation })
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.reservation.bytes
    }

    /// Appends `bytes`; returns `false` and appends nothing if the budget is exceeded.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: Bytes) -> bool {
        if !self.reservation.grow(bytes.len() as u64) {
            return false;
        }
        if bytes.len() >= GATHER_BYTES {
            self.seal();
            self.push_chunk(bytes);
            return true;
        }
        self.tail.extend_from_slice(&bytes);
        if self.tail.len() >= GATHER_BYTES {
            self.seal();
        }
        true
    }

    /// Appends all of `other`, including its part of the budget.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.seal();
        other.seal();
        self.reservation.bytes += std::mem::take(&mut other.reservation.bytes);
        for chunk in std::mem::take(&mut other.chunks) {
            self.push_chunk(chunk.bytes);
        }
    }

    /// Turns merged bytes into a chunk. Required before reading.
    pub(crate) fn seal(&mut self) {
        let bytes = self.tail.split().freeze();
        if !bytes.is_empty() {
            self.push_chunk(bytes);
        }
    }

    /// All bytes; copied only if they are in several chunks.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self.chunks.as_slice() {
            [] => Bytes::new(),
            [chunk] => chunk.bytes.clone(),
            chunks => chunks.iter().map(|chunk| &*chunk.bytes).collect::<Vec<_>>().concat().into(),
        }
    }

    /// The first part of `range` that is in one chunk; empty at the end.
    pub(crate) fn piece(&self, range: Range<u64>) -> Bytes {
        first_piece(&self.chunks, range)
    }

    /// The chunks after the first `known`, without bytes that are still being merged.
    pub(crate) fn chunks_after(&self, known: usize) -> &[Chunk] {
        self.chunks.get(known..).unwrap_or_default()
    }

    fn push_chunk(&mut self, bytes: Bytes) {
        let begin = self.chunks.last().map_or(0, |chunk| chunk.end);
        self.chunks.push(Chunk { end: begin + bytes.len() as u64, bytes });
    }
}

/// Writes below this size are merged: copying them costs less than keeping each separately.
const GATHER_BYTES: usize = 64 << 10;

/// What a file takes besides its content and its path: its places in the maps and its allocations.
pub(crate) const ENTRY_BYTES: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_content_wherever_they_start() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut content = Content::empty(&budget);
        let mut expected = Vec::new();
        for length in [1, GATHER_BYTES, 3, 0, GATHER_BYTES - 1, 2 * GATHER_BYTES, 5] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            expected.extend_from_slice(&bytes);
            assert!(content.push(bytes.into()));
        }
        content.seal();
        assert_eq!(content.to_bytes(), expected);
        for start in (0..=expected.len()).step_by(4093) {
            let mut joined = Vec::new();
            loop {
                let piece = content.piece((start + joined.len()) as u64..expected.len() as u64);
                if piece.is_empty() {
                    break;
                }
                joined.extend_from_slice(&piece);
            }
            assert_eq!(joined, &expected[start..]);
        }
    }

    #[test]
    fn reading_copies_nothing() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let bytes = Bytes::from(vec![7; 1 << 20]);
        let content = Content::whole(bytes.clone(), &budget).unwrap();
        assert_eq!(content.to_bytes().as_ptr(), bytes.as_ptr());
        assert_eq!(content.piece(10..20).as_ptr(), bytes[10..].as_ptr());
    }

    #[test]
    fn a_short_slice_does_not_keep_its_buffer() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let buffer = Arc::new([7_u8; 1000]);
        let slice = Bytes::from_owner(Buffer(buffer.clone())).slice(10..20);
        let content = Content::whole(slice, &budget).unwrap();
        assert_eq!((content.to_bytes(), Arc::strong_count(&buffer)), (Bytes::from_static(&[7; 10]), 1));
    }

    struct Buffer(Arc<[u8; 1000]>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }

    #[test]
    fn the_budget_is_enforced_and_returned() {
        let budget = Arc::new(Budget::new(10));
        let mut first = Content::empty(&budget);
        assert!(first.push(Bytes::from_static(b"123456")));
        assert!(!first.push(Bytes::from_static(b"12345")));
        assert_eq!(first.size_bytes(), 6);
        let mut second = Content::whole(Bytes::from_static(b"1234"), &budget).unwrap();
        assert!(Content::whole(Bytes::from_static(b"x"), &budget).is_none());
        second.append(first);
        assert_eq!((second.size_bytes(), second.to_bytes()), (10, Bytes::from_static(b"1234123456")));
        drop(second);
        assert!(Content::whole(Bytes::from_static(b"1234567890"), &budget).is_some());
    }
}
