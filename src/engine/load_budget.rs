//! `LoadBudget`: limits the large manifests that are being read from the store.
//!
//! Clients may request any number of them at a time, and a store may be slow. A manifest counts here while it is read; what is
//! kept afterwards counts where it is kept.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A manifest up to this size waits for no other.
const SMALL_BYTES: u64 = 64 * 1024;

/// The most manifests that are read without a look at their sizes, and the most large ones.
const MAX_READS: usize = 16;

/// The reads that are running; small manifests beyond [`MAX_READS`] are not among them.
#[derive(Debug)]
pub(crate) struct LoadBudget(Semaphore);

impl Default for LoadBudget {
    fn default() -> Self {
        Self(Semaphore::new(MAX_READS))
    }
}

impl LoadBudget {
    /// Waits until a manifest may be read. Dropping the result ends the read; there is none for a small manifest beside many.
    ///
    /// `size_bytes` costs a request to the store, so it is polled only when [`MAX_READS`] are running.
    ///
    /// # Errors
    ///
    /// That of `size_bytes`.
    pub(crate) async fn room<E>(
        &self,
        size_bytes: impl Future<Output = Result<u64, E>>,
    ) -> Result<Option<SemaphorePermit<'_>>, E> {
        if let Ok(room) = self.0.try_acquire() {
            return Ok(Some(room));
        }
        match size_bytes.await? <= SMALL_BYTES {
            true => Ok(None),
            // It is never closed.
            false => Ok(self.0.acquire().await.ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use futures::FutureExt;

    use super::*;

    #[test]
    fn beside_many_reads_large_manifests_wait_and_small_ones_do_not() {
        let budget = LoadBudget::default();
        let room = |size_bytes| budget.room(ready(Ok::<u64, Infallible>(size_bytes))).now_or_never();
        let unasked = || budget.room(pending::<Result<u64, Infallible>>()).now_or_never();
        let mut held: Vec<_> = std::iter::from_fn(|| unasked().map(|room| room.unwrap().unwrap())).collect();
        assert_eq!(held.len(), MAX_READS);
        assert!(room(SMALL_BYTES + 1).is_none());
        assert!(room(SMALL_BYTES).unwrap().unwrap().is_none());
        drop(held.pop());
        assert!(room(u64::MAX).unwrap().unwrap().is_some());
    }

    #[test]
    fn an_error_of_the_store_is_passed_on() {
        let budget = LoadBudget(Semaphore::new(0));
        assert_eq!(budget.room(ready(Err("away"))).now_or_never().unwrap().unwrap_err(), "away");
    }
}
