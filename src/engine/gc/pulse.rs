//! `Pulse`: what a collection does between any two steps: obey, rest, and give a sign of life.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::Lease;
use super::options::{Options, Stop};
use super::{Error, Result};

/// The rhythm of a collection.
#[derive(Debug)]
pub(super) struct Pulse {
    /// None in a dry run.
    lease: Option<Lease>,
    stop: Stop,
    rest: f32,
    beats: u32,
    awake_since: Instant,
}

/// How many small steps go without a look at the clock.
const STEPS: u32 = 64;

/// How long it works at a stretch: short enough that those it competes with do not notice.
const STRETCH: Duration = Duration::from_millis(10);

impl Pulse {
    pub(super) fn new(lease: Option<Lease>, options: &Options) -> Self {
        let rest = if options.rest.is_finite() { options.rest.clamp(0.0, 1000.0) } else { 0.0 };
        Self { lease, stop: options.stop.clone(), rest, beats: 0, awake_since: Instant::now() }
    }

    /// To be called after every small step.
    pub(super) async fn beat(&mut self) -> Result<()> {
        self.beats = self.beats.wrapping_add(1);
        if !self.beats.is_multiple_of(STEPS) {
            return Ok(());
        }
        if self.stop.is_said() {
            return Err(Error::Stopped);
        }
        let worked = self.awake_since.elapsed();
        if self.rest > 0.0 && worked >= STRETCH {
            // A step that hung (a store that was away) is no work to rest from.
            tokio::time::sleep(worked.min(10 * STRETCH).mul_f32(self.rest)).await;
            self.awake_since = Instant::now();
        }
        if let Some(lease) = &mut self.lease {
            lease.keep().await?;
        }
        Ok(())
    }

    /// The lease, where something is to be deleted.
    pub(super) fn lease(&mut self) -> Result<&mut Lease> {
        self.lease.as_mut().ok_or(Error::Lost)
    }

    pub(super) fn into_lease(self) -> Option<Lease> {
        self.lease
    }
}
