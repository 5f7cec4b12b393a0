//! `Rate`: a bound on how much of something happens in a second.

use std::time::Duration;

use parking_lot::Mutex;
use sampan_client::Clock;

/// At most `per_second` in a second, with a burst of one second's worth. Callers beyond it wait, in order.
#[derive(Debug)]
pub(crate) struct Rate {
    /// `None`: no bound.
    per_second: Option<f64>,
    clock: Clock,
    /// The moment on the clock at which everything taken so far is paid for.
    paid_at: Mutex<Duration>,
}

impl Rate {
    /// A bound of `per_second`; 0 means no bound.
    pub(crate) fn new(per_second: u64, clock: Clock) -> Self {
        let per_second = (per_second > 0).then_some(per_second as f64);
        Self { per_second, clock, paid_at: Mutex::default() }
    }

    /// Whether there is a bound.
    pub(crate) fn is_bound(&self) -> bool {
        self.per_second.is_some()
    }

    /// Waits until `amount` more is allowed.
    pub(crate) async fn take(&self, amount: u64) {
        let Some(per_second) = self.per_second else { return };
        let cost = Duration::from_secs_f64(amount as f64 / per_second);
        let now = self.clock.elapsed();
        let pause = {
            let mut paid_at = self.paid_at.lock();
            let burst = now.saturating_sub(Duration::from_secs(1));
            *paid_at = paid_at.max(burst) + cost;
            paid_at.saturating_sub(now)
        };
        if !pause.is_zero() {
            self.clock.sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// How long `takes` wait altogether.
    async fn waited(per_second: u64, takes: &[u64]) -> Duration {
        let waits = Arc::new(Mutex::new(Duration::from_secs(100)));
        let (read, write) = (waits.clone(), waits.clone());
        let clock = Clock::new(
            move || *read.lock(),
            || std::time::SystemTime::UNIX_EPOCH,
            move |pause| {
                *write.lock() += pause;
                Box::pin(async {})
            },
        );
        let rate = Rate::new(per_second, clock);
        for amount in takes {
            rate.take(*amount).await;
        }
        *waits.lock() - Duration::from_secs(100)
    }

    #[tokio::test]
    async fn what_exceeds_a_second_waits() {
        assert_eq!(waited(0, &[1_000_000]).await, Duration::ZERO);
        assert_eq!(waited(10, &[1; 10]).await, Duration::ZERO);
        assert_eq!(waited(10, &[1; 30]).await, Duration::from_secs(2));
        assert_eq!(waited(1000, &[10_000]).await, Duration::from_secs(9));
    }
}
