//! `Pace`: keeps copying below a rate.

use std::num::NonZeroU64;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Keeps copying below a rate.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<NonZeroU64>,
    /// When the bytes that were taken so far are paid for. A plain mutex: held only to add.
    free_at: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until so many more bytes are within the rate.
    pub(super) async fn take(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
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
        let (pace, begun) = (Pace::new(NonZeroU64::new(1000)), Instant::now());
        futures::join!(pace.take(500), pace.take(1500));
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.take(1000).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
        Pace::new(None).take(usize::MAX).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
    }
}
