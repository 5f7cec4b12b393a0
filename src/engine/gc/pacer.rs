//! `Pacer`: the pause between any two steps of a collection: it stops on request, rests, and gives a sign of life.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lock::CollectorLock;
use super::options::Options;
use super::{Error, Result};

/// Paces a collection.
#[derive(Debug)]
pub(super) struct Pacer {
    /// `None` in a dry run.
    lock: Option<CollectorLock>,
    stop: CancellationToken,
    rest: f32,
    awake_since: Instant,
}

/// Longest stretch of work between rests. Shorter than a scheduler time slice, so the collector delays a request no more
/// than another request would.
const MAX_SLICE: Duration = Duration::from_micros(500);

impl Pacer {
    pub(super) fn new(lock: Option<CollectorLock>, options: &Options) -> Self {
        let rest = if options.rest.is_finite() { options.rest.clamp(0.0, 1000.0) } else { 0.0 };
        Self { lock, stop: options.stop.clone(), rest, awake_since: Instant::now() }
    }

    /// Paces the collection. Call it after every small step.
    pub(super) async fn tick(&mut self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        if self.rest > 0.0 {
            let worked = self.awake_since.elapsed();
            if worked >= MAX_SLICE {
                // A step that waited for the store is no work to rest from.
                tokio::time::sleep(worked.min(10 * MAX_SLICE).mul_f32(self.rest)).await;
                self.awake_since = Instant::now();
            }
        }
        if let Some(lock) = &mut self.lock {
            lock.keep().await?;
        }
        Ok(())
    }

    /// Returns the lock, for a deletion. Fails in a dry run.
    pub(super) fn lock(&mut self) -> Result<&mut CollectorLock> {
        self.lock.as_mut().ok_or(Error::Lost)
    }

    pub(super) fn into_lock(self) -> Option<CollectorLock> {
        self.lock
    }
}
