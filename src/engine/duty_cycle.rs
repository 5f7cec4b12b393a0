//! `DutyCycle`: makes long work yield to requests: it pauses after every stretch.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Pauses long work after every stretch of it.
#[derive(Debug)]
pub(crate) struct DutyCycle {
    /// Seconds of rest for every second of work.
    factor: f32,
    /// A plain mutex: held only to read or set.
    awake_since: Mutex<Instant>,
}

/// Longest stretch of work between rests. Shorter than a scheduler time slice, so the work delays a request no more than
/// another request would.
const MAX_SLICE: Duration = Duration::from_micros(500);

impl DutyCycle {
    /// Rests `factor` seconds for every second of work; 0 never rests.
    pub(crate) fn new(factor: f32) -> Self {
        let factor = if factor.is_finite() { factor.clamp(0.0, 1000.0) } else { 0.0 };
        Self { factor, awake_since: Mutex::new(Instant::now()) }
    }

    /// Rests if a stretch is over. Call it after every small step.
    pub(crate) async fn take(&self) {
        if self.factor == 0.0 {
            return;
        }
        let worked = self.awake_since.lock().elapsed();
        if worked >= MAX_SLICE {
            // The time of a step that only waited for the store needs no rest.
            sleep(worked.min(10 * MAX_SLICE).mul_f32(self.factor)).await;
            *self.awake_since.lock() = Instant::now();
        }
    }
}
