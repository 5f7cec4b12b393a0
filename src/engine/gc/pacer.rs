//! `Pacer`: the pause between any two steps of a collection: it stops on request, rests, and gives a sign of life.

use tokio_util::sync::CancellationToken;

use super::lock::CollectorLock;
use super::options::Options;
use super::{Error, Result};
use crate::duty_cycle::DutyCycle;

/// Paces a collection.
#[derive(Debug)]
pub(super) struct Pacer {
    /// `None` in a dry run.
    lock: Option<CollectorLock>,
    stop: CancellationToken,
    rest: DutyCycle,
}

impl Pacer {
    pub(super) fn new(lock: Option<CollectorLock>, options: &Options) -> Self {
        Self { lock, stop: options.stop.clone(), rest: DutyCycle::new(options.rest) }
    }

    /// Paces the collection. Call it after every small step.
    pub(super) async fn tick(&mut self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        self.rest.take().await;
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
