//! `LoadBudget`: limits the bytes of large manifests that are being read from the store.
//!
//! Clients may request any number of them at a time, and a store may be slow. Here counts what is read; what is kept afterwards
//! counts where it is kept.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A manifest up to this size does not count: to open it takes more.
const SMALL_BYTES: u64 = 64 * 1024;

/// The most bytes that are being read.
const MAX_BYTES: u64 = 64 << 20;

/// The bytes of large manifests that are being read, in units of [`SMALL_BYTES`].
#[derive(Debug)]
pub(crate) struct LoadBudget(Semaphore);

impl Default for LoadBudget {
    fn default() -> Self {
        Self(Semaphore::new((MAX_BYTES / SMALL_BYTES) as usize))
    }
}

impl LoadBudget {
    /// Waits until so many bytes may be read. Dropping the result ends that; there is none for few bytes.
    pub(crate) async fn room(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        if bytes <= SMALL_BYTES {
            return None;
        }
        let units = u32::try_from(bytes.min(MAX_BYTES).div_ceil(SMALL_BYTES)).unwrap_or(u32::MAX);
        // It is never closed.
        self.0.acquire_many(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn large_manifests_wait_for_each_other_and_small_ones_for_none() {
        let budget = LoadBudget::default();
        let room = |bytes| budget.room(bytes).now_or_never();
        let all = room(u64::MAX).unwrap();
        assert!(all.is_some() && room(SMALL_BYTES + 1).is_none());
        assert!(room(SMALL_BYTES).unwrap().is_none());
        drop(all);
        let held: Vec<_> = std::iter::from_fn(|| room(4 << 20)).collect();
        assert_eq!(held.len(), 16);
        drop(held);
        assert!(room(MAX_BYTES).is_some());
    }
}
