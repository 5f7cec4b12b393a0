//! `Pacer`: what a collection does between any two steps: obey, rest, and give a sign of life.

use std::time::Duration;

use tokio::time::Instant;

use super::lock::CollectorLock;
use super::options::{Options, Stop};
use super::{Error, Result};

/// The rhythm of a collection.
#[derive(Debug)]
pub(super) struct Pacer {
    /// None in a dry run.
    lock: Option<CollectorLock>,
    stop: Stop,
    rest: f32,
    awake_since: Instant,
}

/// How long it works at a stretch: less than the time slice of a processor, so that who is served meanwhile waits for less than
/// he does for others who are served.
const MAX_SLICE: Duration = Duration::from_micros(500);

impl Pacer {
    pub(super) fn new(lock: Option<CollectorLock>, options: &Options) -> Self {
        let rest = if options.rest.is_finite() { options.rest.clamp(0.0, 1000.0) } else { 0.0 };
        Self { lock, stop: options.stop.clone(), rest, awake_since: Instant::now() }
    }

    /// To be called after every small step.
    pub(super) async fn tick(&mut self) -> Result<()> {
        if self.stop.is_said() {
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

    /// The lock, where something is to be deleted.
    pub(super) fn lock(&mut self) -> Result<&mut CollectorLock> {
        self.lock.as_mut().ok_or(Error::Lost)
    }

    pub(super) fn into_lock(self) -> Option<CollectorLock> {
        self.lock
    }
}
