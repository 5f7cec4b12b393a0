//! `Pace`: ends a run when it is time, and makes it rest between its steps.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::options::Options;

/// Paces a run. Threads share it.
#[derive(Debug)]
pub(super) struct Pace {
    stop: CancellationToken,
    ends: Option<Instant>,
    rest: f32,
    rate: Option<u64>,
    /// A plain mutex: held to read and set two times.
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    awake_since: Instant,
    /// When the next bytes may be read.
    free_at: Instant,
}

/// Longest stretch of work between rests, as for a collection.
const MAX_SLICE: Duration = Duration::from_micros(500);

impl Pace {
    pub(super) fn new(options: &Options) -> Self {
        let now = Instant::now();
        Self {
            stop: options.stop.clone(),
            ends: options.max_duration.map(|duration| now + duration),
            rest: if options.rest.is_finite() { options.rest.clamp(0.0, 1000.0) } else { 0.0 },
            rate: options.rate.filter(|rate| *rate > 0),
            times: Mutex::new(Times { awake_since: now, free_at: now }),
        }
    }

    /// Whether the run is to end.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// Rests if it is time to. Returns whether the run goes on.
    pub(super) async fn goes_on(&self) -> bool {
        if self.is_over() {
            return false;
        }
        self.rest().await;
        !self.is_over()
    }

    async fn rest(&self) {
        if self.rest > 0.0 {
            let worked = self.times.lock().awake_since.elapsed();
            if worked >= MAX_SLICE {
                // A step that waited for the store is no work to rest from.
                sleep(worked.min(10 * MAX_SLICE).mul_f32(self.rest)).await;
                self.times.lock().awake_since = Instant::now();
            }
        }
    }

    /// Waits until so many bytes may be read. Returns whether the run was not stopped: what has begun is read to its end, however
    /// late it is, since a file may take longer than a whole run.
    pub(super) async fn read(&self, bytes: u64) -> bool {
        if let Some(rate) = self.rate {
            #[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
            let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
            let begins = {
                let mut times = self.times.lock();
                // Time that was not used is not saved up.
                let begins = times.free_at.max(Instant::now());
                times.free_at = begins + takes;
                begins
            };
            let stopped = tokio::time::timeout_at(begins, self.stop.cancelled()).await.is_ok();
            if stopped {
                return false;
            }
            sleep_until(begins).await;
        }
        self.rest().await;
        !self.stop.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_come_at_the_rate_and_the_time_ends_the_run() {
        let options =
            Options { rate: Some(1000), max_duration: Some(Duration::from_secs(10)), ..Options::default() };
        let (pace, begun) = (Pace::new(&options), Instant::now());
        for _ in 0..8 {
            assert!(pace.read(1000).await);
        }
        assert_eq!(begun.elapsed().as_secs(), 7, "the first ones need no wait");
        // Nothing is saved up meanwhile.
        sleep(Duration::from_secs(2)).await;
        assert!(pace.read(1000).await);
        assert!(pace.read(1000).await, "a file is read to its end");
        assert!(pace.is_over() && !pace.goes_on().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_wait() {
        let options = Options { rate: Some(1), ..Options::default() };
        let (pace, begun) = (Pace::new(&options), Instant::now());
        assert!(pace.read(1_000_000).await);
        let stop = async {
            sleep(Duration::from_secs(1)).await;
            options.stop.cancel();
        };
        let (goes_on, ()) = futures::join!(pace.read(1), stop);
        assert!(!goes_on);
        assert_eq!(begun.elapsed().as_secs(), 1);
    }
}
