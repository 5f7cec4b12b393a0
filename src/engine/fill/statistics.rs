//! `FillStatistics`: what fills have done since the process began.

use std::sync::atomic::{AtomicU64, Ordering};

use super::UnstoredReason;

/// Counts since the process began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FillStatistics {
    /// Transfers that began.
    pub started: u64,
    /// Requests that joined a transfer which another one began.
    pub joined: u64,
    /// Bytes that arrived from upstreams.
    pub received_bytes: u64,
    /// Transfers whose blob is in the store.
    pub stored: u64,
    /// Transfers that went on without the store, by [`UnstoredReason::ALL`].
    pub unstored: [u64; UnstoredReason::ALL.len()],
    /// Transfers whose content did not match the digest.
    pub digest_mismatches: u64,
    /// Transfers that failed for any other reason: the upstream, the length, no room for the bytes, or a stop.
    pub failed: u64,
}

impl FillStatistics {
    /// How many transfers went on without the store for `reason`.
    pub fn unstored_for(&self, reason: UnstoredReason) -> u64 {
        self.unstored[reason as usize]
    }
}

/// The running counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    started: AtomicU64,
    joined: AtomicU64,
    received_bytes: AtomicU64,
    stored: AtomicU64,
    unstored: [AtomicU64; UnstoredReason::ALL.len()],
    digest_mismatches: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn stored(&self) {
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unstored(&self, reason: UnstoredReason) {
        self.unstored[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn digest_mismatch(&self) {
        self.digest_mismatches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> FillStatistics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FillStatistics {
            started: read(&self.started),
            joined: read(&self.joined),
            received_bytes: read(&self.received_bytes),
            stored: read(&self.stored),
            unstored: self.unstored.each_ref().map(read),
            digest_mismatches: read(&self.digest_mismatches),
            failed: read(&self.failed),
        }
    }
}
