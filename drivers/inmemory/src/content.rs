//! `Content`: the bytes of a file as a list of shared chunks, and the budget that they are taken from.
//!
//! Chunks are kept as they were written, so appending never copies what is there; only small ones are gathered, so that a
//! thousand tiny writes do not become a thousand tiny allocations.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

/// How many bytes a store may hold, and how many of them are taken.
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

    /// Takes `bytes` until the reservation is dropped; `None` when they are not left.
    fn take(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { budget: self.clone(), bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// A share of a budget, given back on drop: deleting, replacing and forgetting a file all do so.
#[derive(Debug)]
struct Reservation {
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

/// The bytes of a file; it only ever grows.
#[derive(Debug)]
pub(crate) struct Content {
    chunks: Vec<Chunk>,
    /// Small writes that wait to become a chunk.
    tail: BytesMut,
    reservation: Reservation,
}

#[derive(Debug)]
struct Chunk {
    /// The offset of the first byte after this chunk, so that an offset is found by bisection.
    end: u64,
    bytes: Bytes,
}

impl Content {
    /// No bytes.
    pub(crate) fn empty(budget: &Arc<Budget>) -> Self {
        let reservation = Reservation { budget: budget.clone(), bytes: 0 };
        Self { chunks: Vec::new(), tail: BytesMut::new(), reservation }
    }

    /// `bytes` in one piece; `None` when the budget has no room for them.
    pub(crate) fn whole(bytes: Bytes, budget: &Arc<Budget>) -> Option<Self> {
        let end = bytes.len() as u64;
        let reservation = budget.take(end)?;
        let chunks = if bytes.is_empty() { Vec::new() } else { vec![Chunk { end, bytes }] };
        Some(Self { chunks, tail: BytesMut::new(), reservation })
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.reservation.bytes
    }

    /// Adds `bytes` at the end; `false`, and nothing is added, when the budget has no room for them.
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

    /// Adds all of `other` at the end; its share of the budget comes with it.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.seal();
        other.seal();
        self.reservation.bytes += std::mem::take(&mut other.reservation.bytes);
        for chunk in std::mem::take(&mut other.chunks) {
            self.push_chunk(chunk.bytes);
        }
    }

    /// Turns gathered bytes into a chunk. Needed before the content is read.
    pub(crate) fn seal(&mut self) {
        let bytes = self.tail.split().freeze();
        if !bytes.is_empty() {
            self.push_chunk(bytes);
        }
    }

    /// All bytes; copied only when they were written in several pieces.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self.chunks.as_slice() {
            [] => Bytes::new(),
            [chunk] => chunk.bytes.clone(),
            chunks => chunks.iter().map(|chunk| &*chunk.bytes).collect::<Vec<_>>().concat().into(),
        }
    }

    /// The first piece of `range` that lies in one chunk; empty at the end.
    pub(crate) fn piece(&self, range: Range<u64>) -> Bytes {
        let index = self.chunks.partition_point(|chunk| chunk.end <= range.start);
        let Some(chunk) = self.chunks.get(index).filter(|_| !range.is_empty()) else { return Bytes::new() };
        let begin = chunk.end - chunk.bytes.len() as u64;
        let end = chunk.end.min(range.end);
        chunk.bytes.slice((range.start - begin) as usize..(end - begin) as usize)
    }

    fn push_chunk(&mut self, bytes: Bytes) {
        let begin = self.chunks.last().map_or(0, |chunk| chunk.end);
        self.chunks.push(Chunk { end: begin + bytes.len() as u64, bytes });
    }
}

/// Writes below this are gathered: copying them costs less than keeping each by itself.
const GATHER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_content_wherever_they_begin() {
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
    fn the_budget_is_kept_and_given_back() {
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
