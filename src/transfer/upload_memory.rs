//! `UploadMemory`: how much of the content that is being pushed may be in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The content of all blobs of a registry that are pushed at a time: two chunks, which keep a line busy.
const MAX_BYTES: u64 = 32 << 20;

/// The most that one blob keeps: the chunk that waits until it is acknowledged.
const MAX_BLOB_BYTES: u64 = 16 << 20;

/// One permit stands for this many bytes, since the number of permits has a limit.
const UNIT_BYTES: u64 = 1 << 10;

/// The memory of all pushes to a registry.
#[derive(Clone, Debug)]
pub(crate) struct UploadMemory(Arc<Semaphore>);

impl Default for UploadMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new((MAX_BYTES / UNIT_BYTES) as usize)))
    }
}

impl UploadMemory {
    /// Waits until a blob of `size_bytes` has its memory, which is free again when the permit is dropped.
    pub(crate) async fn of_blob(&self, size_bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = size_bytes.min(MAX_BLOB_BYTES).div_ceil(UNIT_BYTES) as u32;
        // Only a closed semaphore gives no permit, and none closes this one.
        self.0.clone().acquire_many_owned(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn two_long_blobs_are_in_memory_at_a_time_and_short_ones_as_they_fit() {
        let memory = UploadMemory::default();
        let long: Vec<_> = (0..2).map(|_| memory.of_blob(u64::MAX).now_or_never().unwrap()).collect();
        assert!(memory.of_blob(1).now_or_never().is_none());
        drop(long);
        let short: Vec<_> = (0..8).map(|_| memory.of_blob(4 << 20).now_or_never().unwrap()).collect();
        assert!(memory.of_blob(4 << 20).now_or_never().is_none());
        assert!(memory.of_blob(0).now_or_never().is_some());
        drop(short);
    }
}
