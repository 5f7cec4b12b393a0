//! `Options`: the settings of the driver, for any store.

use std::time::Duration;

/// Sizes, numbers and times.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) parts: PartOptions,
    pub(crate) copies: CopyOptions,
    pub(crate) deletions: DeletionOptions,
    /// How long a redirect URL is valid.
    pub(crate) redirect_expiry: Duration,
    /// The storage class of new objects; `None` means the store's default.
    pub(crate) storage_class: Option<String>,
    /// How long a read may receive no byte before it restarts.
    pub(crate) stall: Duration,
    /// The page size of a listing, in keys.
    pub(crate) page: usize,
}

/// The division of uploads into parts.
#[derive(Clone, Debug)]
pub(crate) struct PartOptions {
    /// The length of every part but the last, unless the known length of the file needs larger ones.
    pub(crate) size: u64,
    /// The maximum part size of the store.
    pub(crate) max_size: u64,
    /// The maximum number of parts of the store.
    pub(crate) max_count: u64,
    /// The number of parts of one upload in flight.
    pub(crate) in_flight: usize,
    /// The bytes of parts in flight, over all uploads.
    pub(crate) buffer: u64,
    /// Whether a multipart upload may use the final key. Azure keeps one list of blocks per blob, so two uploads of the same
    /// blob would destroy each other there.
    pub(crate) at_target: bool,
}

/// The copying of large files in a store that can copy ranges.
#[derive(Clone, Debug)]
pub(crate) struct CopyOptions {
    /// The largest file that is copied by one request.
    pub(crate) threshold: u64,
    pub(crate) part: u64,
    pub(crate) concurrency: usize,
}

/// The deletion of many files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeletionOptions {
    /// The maximum number of keys per request.
    pub(crate) keys: usize,
    /// The number of requests in flight.
    pub(crate) requests: usize,
}

impl PartOptions {
    /// The part size for a file of `len` bytes, or of unknown length; `None` if the store cannot hold it.
    ///
    /// A part is held in memory until it is full, and a client may claim any length. So a claim makes parts of at most
    /// [`MAX_CLAIMED`], which suffices for 312 GiB. Larger blobs need a larger `chunksize`.
    pub(crate) fn size_for(&self, len: Option<u64>) -> Option<u64> {
        // An absurd hint is ignored, since it must not make gigantic parts.
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
            // The limit of S3. More requests would overload some stores.
            deletions: DeletionOptions { keys: 1000, requests: 2 },
            redirect_expiry: Duration::from_secs(20 * 60),
            storage_class: None,
            stall: Duration::from_secs(60),
            page: 1000,
        }
    }
}

/// The largest part size that a client's claim causes, in bytes.
const MAX_CLAIMED: u64 = 32 << 20;

/// Above the largest object of any store, 48.8 TiB.
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
