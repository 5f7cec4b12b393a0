//! `Options`: how the driver goes about its work, whatever the store.

use std::time::Duration;

/// Sizes, numbers and times.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) parts: PartOptions,
    pub(crate) copies: CopyOptions,
    pub(crate) deletions: DeletionOptions,
    /// How long a redirect URL is valid.
    pub(crate) redirect_expiry: Duration,
    /// The storage class of new objects, if it is not the store's own default.
    pub(crate) storage_class: Option<String>,
    /// How long a store may send nothing before a read is begun anew.
    pub(crate) stall: Duration,
    /// How many keys a listing asks for at a time.
    pub(crate) page: usize,
}

/// How uploads are cut.
#[derive(Clone, Debug)]
pub(crate) struct PartOptions {
    /// The length of every part but the last, unless a known length needs larger ones.
    pub(crate) size: u64,
    /// The longest part that the store takes.
    pub(crate) max_size: u64,
    /// How many parts the store takes.
    pub(crate) max_count: u64,
    /// How many parts of one upload are sent at a time.
    pub(crate) in_flight: usize,
    /// How many bytes of parts are on their way at a time, over all uploads.
    pub(crate) buffer: u64,
    /// Whether a multipart upload may be made at the final key. Azure keeps one list of blocks a blob, so that two uploads
    /// of the same blob would destroy each other's there.
    pub(crate) at_target: bool,
}

/// How large files are copied inside a store that can copy ranges.
#[derive(Clone, Debug)]
pub(crate) struct CopyOptions {
    /// Up to this size a file is copied by one request.
    pub(crate) threshold: u64,
    pub(crate) part: u64,
    pub(crate) concurrency: usize,
}

/// How many files are deleted at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeletionOptions {
    /// How many keys a request of the store takes.
    pub(crate) keys: usize,
    /// How many requests are under way at a time.
    pub(crate) requests: usize,
}

impl PartOptions {
    /// The size of parts for a file of `len` bytes, or of unknown length; `None` when it cannot be stored.
    ///
    /// A part is held in memory until it is full, and a client claims whatever length it likes: so a claim makes parts of
    /// [`MAX_CLAIMED`] at most, which is enough for 312 GiB. Larger blobs need a larger `chunksize`.
    pub(crate) fn size_for(&self, len: Option<u64>) -> Option<u64> {
        // A hint beyond all measure is worth nothing, and must not make gigantic parts.
        let needed = len.filter(|len| *len < HINT_LIMIT).unwrap_or(0).div_ceil(self.max_count);
        let size = match needed <= self.size {
            true => self.size,
            false => needed.next_multiple_of(1 << 20),
        };
        (size <= self.max_size).then_some(size.min(self.size.max(MAX_CLAIMED)))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: PartOptions {
                size: 10 << 20,
                max_size: 5 << 30,
                max_count: 10_000,
                in_flight: 3,
                buffer: 256 << 20,
                at_target: true,
            },
            copies: CopyOptions { threshold: 128 << 20, part: 64 << 20, concurrency: 16 },
            // As S3 has it. More requests would ask some stores for too much at once.
            deletions: DeletionOptions { keys: 1000, requests: 2 },
            redirect_expiry: Duration::from_secs(20 * 60),
            storage_class: None,
            stall: Duration::from_secs(60),
            page: 1000,
        }
    }
}

/// The largest part that the claim of a client makes, in bytes.
const MAX_CLAIMED: u64 = 32 << 20;

/// The largest object of any store is 48.8 TiB.
const HINT_LIMIT: u64 = 64 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_only_with_a_length_that_needs_it() {
        let parts = Options::default().parts;
        assert_eq!(parts.size_for(None), Some(10 << 20));
        assert_eq!(parts.size_for(Some(100_000 << 20)), Some(10 << 20));
        assert_eq!(parts.size_for(Some((100_000 << 20) + 1)), Some(11 << 20));
        assert_eq!(parts.size_for(Some(320_000 << 20)), Some(32 << 20));
        assert_eq!(parts.size_for(Some(1 << 40)), Some(32 << 20), "a claim of a client");
        assert_eq!(PartOptions { size: 64 << 20, ..parts.clone() }.size_for(Some(1 << 40)), Some(64 << 20));
        assert_eq!(parts.size_for(Some(49 << 40)), None);
        assert_eq!(parts.size_for(Some(u64::MAX)), Some(10 << 20));
    }
}
