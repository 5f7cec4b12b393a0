//! `Pace`: ends a run when it is stopped, and makes it stand back behind requests.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::options::Options;
use crate::duty_cycle::DutyCycle;
use crate::rate::Rate;

/// Paces a run. Threads share it.
#[derive(Debug)]
pub(super) struct Pace {
    stop: CancellationToken,
    rest: DutyCycle,
    rate: Rate,
    outage: Duration,
    /// The progress of the run could not be written, and that was logged.
    has_lost_progress: AtomicBool,
}

impl Pace {
    pub(super) fn new(options: &Options) -> Self {
        let rate = Rate::new(options.rate.and_then(NonZeroU64::new));
        Self {
            stop: options.stop.clone(),
            rest: DutyCycle::new(options.rest),
            rate,
            outage: options.outage,
            has_lost_progress: AtomicBool::new(false),
        }
    }

    /// Whether this is the first time that the progress of the run cannot be written.
    pub(super) fn is_first_lost_progress(&self) -> bool {
        !self.has_lost_progress.swap(true, Ordering::Relaxed)
    }

    /// Whether the run was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How long the store may not answer.
    pub(super) fn outage(&self) -> Duration {
        self.outage
    }

    /// Waits. Returns whether the run continues.
    pub(super) async fn pause(&self, pause: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// Rests if it is time to. Returns whether the run continues.
    pub(super) async fn goes_on(&self) -> bool {
        self.rest.take().await;
        !self.is_stopped()
    }

    /// Waits until so many bytes may be read. Returns whether the run continues.
    pub(super) async fn read(&self, bytes: usize) -> bool {
        self.stop.run_until_cancelled(self.rate.take(bytes)).await.is_some() && self.goes_on().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_wait() {
        let options = Options { rate: Some(1), ..Options::default() };
        let (pace, begun) = (Pace::new(&options), Instant::now());
        let stop = async {
            sleep(Duration::from_secs(1)).await;
            options.stop.cancel();
        };
        let (goes_on, ()) = futures::join!(pace.read(1_000_000), stop);
        assert!(!goes_on);
        assert_eq!(begun.elapsed().as_secs(), 1);
    }
}
