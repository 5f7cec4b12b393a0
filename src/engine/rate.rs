//! `Rate`: keeps work with bytes below a rate.

use std::num::NonZeroU64;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Keeps work with bytes below a rate.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_per_second: Option<NonZeroU64>,
    /// When the bytes that were taken so far are paid for. A plain mutex: held only to add.
    free_at: Mutex<Instant>,
}

impl Rate {
    /// At most `bytes_per_second`; `None` for no limit.
    pub(crate) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until so many more bytes are within the rate.
    pub(crate) async fn take(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let until = {
            let mut free_at = self.free_at.lock();
            // A pause saves nothing up, so no burst follows it.
            *free_at = (*free_at).max(Instant::now()) + cost;
            *free_at
        };
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_also_together() {
        let (rate, begun) = (Rate::new(NonZeroU64::new(1000)), Instant::now());
        futures::join!(rate.take(500), rate.take(1500));
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(60)).await;
        rate.take(1000).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
        Rate::new(None).take(usize::MAX).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
    }
}
