//! `Tail`: the bytes of an upload that do not yet fill a part.

use bytes::{Bytes, BytesMut};
use object_store::PutPayload;

/// Bytes in order. Large chunks are kept as they are; small ones are gathered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    chunks: Vec<Bytes>,
    /// The last small chunks.
    loose: BytesMut,
    len: u64,
}

impl Tail {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len() as u64;
        if chunk.len() < SMALL {
            self.loose.extend_from_slice(&chunk);
            if self.loose.len() >= GATHERED {
                self.gather();
            }
        } else {
            self.gather();
            self.chunks.push(chunk);
        }
    }

    /// The bytes, sharing their memory with the tail.
    pub(crate) fn payload(&mut self) -> PutPayload {
        self.gather();
        self.chunks.iter().cloned().collect()
    }

    /// The bytes; the tail is empty afterwards.
    pub(crate) fn take(&mut self) -> PutPayload {
        self.gather();
        self.len = 0;
        std::mem::take(&mut self.chunks).into_iter().collect()
    }

    /// The bytes after `head`, as one payload.
    pub(crate) fn payload_after(&mut self, head: Bytes) -> PutPayload {
        self.gather();
        std::iter::once(head).chain(self.chunks.iter().cloned()).collect()
    }

    fn gather(&mut self) {
        if !self.loose.is_empty() {
            self.chunks.push(std::mem::take(&mut self.loose).freeze());
        }
    }
}

impl From<Bytes> for Tail {
    fn from(bytes: Bytes) -> Self {
        let mut tail = Self::default();
        tail.push(bytes);
        tail
    }
}

/// A smaller chunk gets no entry of its own.
const SMALL: usize = 16 << 10;

/// The size at which gathered bytes become a chunk.
const GATHERED: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_whatever_the_sizes() {
        let mut tail = Tail::default();
        let mut expected = Vec::new();
        for (index, size) in [1, 20_000, 3, 0, 300_000, 16 << 10, 7, 7].into_iter().enumerate() {
            let chunk = vec![index as u8; size];
            expected.extend_from_slice(&chunk);
            tail.push(chunk.into());
        }
        assert_eq!(tail.len(), expected.len() as u64);
        assert_eq!(Bytes::from(tail.payload()), expected);
        assert_eq!(
            Bytes::from(tail.payload_after(Bytes::from_static(b"head"))),
            [b"head", &expected[..]].concat()
        );
        assert_eq!(Bytes::from(tail.take()), expected);
        assert!(tail.is_empty());
    }
}
