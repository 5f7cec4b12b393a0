//! `Progress`: how far the verification of a store has come, in the file `sampan/verify/state`.

use std::time::{Duration, SystemTime};

use sampan_driver::{PutMode, StorageDriverExt, with_causes};
use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::sizes::{Hash, place};
use super::{MAX_MOVED, Result};
use crate::Registry;
use crate::clock::{millis, time_of};
use crate::layout::Entry;
use crate::oci::Digest;

/// How far the verification of a store has come. It is a hint: without it, a cycle starts again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", default)]
pub struct Progress {
    /// The present cycle.
    pub cycle: Cycle,
    /// The last digest that was hashed in it; `None` at its beginning.
    pub after: Option<Digest>,
    /// When the structure was last read to the end by a run that has reported its problems, in milliseconds since 1970.
    pub structure_ms: Option<u64>,
    /// The last cycle that came to its end.
    pub last: Option<Cycle>,
    /// Data that were damaged or unreadable when a run hashed them, and that it has not reported and repaired yet. The next run
    /// looks at them first if it was killed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreported: Vec<Digest>,
}

/// A run with more damage than it may move stops, and finds at most a few more in what it has begun.
const MAX_UNREPORTED: usize = 2 * MAX_MOVED as usize;

/// The clocks of two registries over a store differ by less.
const MAX_AHEAD: Duration = Duration::from_secs(60 * 60);

/// One pass over all data.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", default)]
pub struct Cycle {
    /// When it began, in milliseconds since 1970; 0 if it has not begun.
    pub begun_ms: u64,
    /// When it ended, in milliseconds since 1970; 0 if it has not ended.
    pub ended_ms: u64,
    /// Blobs and manifests that were hashed.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// How many were damaged or could not be read.
    pub damaged: u64,
    /// Problems of content and links that its runs have repaired; also some that were found before the data were hashed.
    pub healed: u64,
}

impl Cycle {
    /// When it began.
    pub fn begun(&self) -> SystemTime {
        time_of(self.begun_ms)
    }

    /// When it ended.
    pub fn ended(&self) -> SystemTime {
        time_of(self.ended_ms)
    }
}

impl Progress {
    /// Reads the progress of a store; a missing or unreadable file is no progress.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn read(registry: &Registry) -> Result<Self> {
        let content = registry.driver().get_content_if_any(&Entry::Verification.path()).await?;
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default())
    }

    pub(super) async fn write(&self, registry: &Registry) -> Result<()> {
        let content = serde_json::to_vec(self).unwrap_or_default();
        let path = Entry::Verification.path();
        Ok(registry.driver().put_content(&path, content.into(), PutMode::Overwrite).await?)
    }

    /// Writes the progress of a run. It is a hint, so a store that takes no writes, such as a full one, is logged once and does
    /// not end the run.
    pub(super) async fn keep(&self, registry: &Registry, pace: &Pace) {
        // The registry may have become read-only since the run began.
        let Ok(_write) = registry.begin_write() else { return };
        if let Err(error) = self.write(registry).await
            && pace.is_first_lost_progress()
        {
            let error = with_causes(&error);
            tracing::warn!(
                %error,
                "verification: its progress cannot be written to {}, so the next run begins where the last one did: {error}",
                Entry::Verification.path()
            );
        }
    }

    /// When the present cycle began; `None` if there is none.
    pub fn begun(&self) -> Option<SystemTime> {
        (self.cycle.begun_ms > 0).then(|| time_of(self.cycle.begun_ms))
    }

    /// When the present cycle began; `None` if there is none, or if it began under a clock that was ahead.
    pub fn begun_by(&self, now: SystemTime) -> Option<SystemTime> {
        self.begun().filter(|begun| *begun <= now + MAX_AHEAD)
    }

    /// Gives up a cycle that began under a clock that was ahead: by its time it would continue in years. What is not reported
    /// yet stays.
    pub(super) fn give_up_future_cycle(&mut self, now: SystemTime) {
        if self.begun_by(now).is_none() {
            self.cycle = Cycle::default();
            self.after = None;
        }
    }

    /// The part of all digests that the present cycle has hashed, from 0 to 1. Digests are spread evenly, so it is about the part
    /// of the blobs.
    #[expect(clippy::cast_precision_loss, reason = "a digest more or less does not matter")]
    pub fn share(&self) -> f64 {
        self.position().map_or(0.0, |position| place(&position) as f64 / u64::MAX as f64)
    }

    /// Whether the structure was read within the last `age`.
    pub fn has_structure_since(&self, now: SystemTime, age: Duration) -> bool {
        let read = self.structure_ms.map(time_of);
        // A time in the future comes from a clock that was wrong.
        read.is_some_and(|read| now.duration_since(read).unwrap_or(Duration::MAX) < age)
    }

    pub(super) fn position(&self) -> Option<Hash> {
        self.after.as_ref().and_then(Digest::canonical_hash)
    }

    /// Begins a cycle, unless one continues.
    pub(super) fn begin(&mut self, now: SystemTime, again: bool) {
        if again || self.cycle.begun_ms == 0 {
            self.cycle = Cycle { begun_ms: millis(now), ..Cycle::default() };
            self.after = None;
        }
        // Such a run, or another of its cycle, finds them again.
        if again {
            self.unreported.clear();
        }
    }

    /// Notes data that are damaged or unreadable.
    pub(super) fn note_unreported(&mut self, digest: Digest) {
        if self.unreported.len() < MAX_UNREPORTED && !self.unreported.contains(&digest) {
            self.unreported.push(digest);
        }
    }

    /// Counts repaired problems for the cycle that a run has worked on, which may have ended with it.
    pub(super) fn add_healed(&mut self, healed: u64) {
        match &mut self.last {
            Some(last) if self.cycle.begun_ms == 0 => last.healed += healed,
            _ => self.cycle.healed += healed,
        }
    }

    /// Ends the cycle.
    pub(super) fn end(&mut self, now: SystemTime) {
        self.cycle.ended_ms = millis(now);
        self.last = Some(std::mem::take(&mut self.cycle));
        self.after = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_of_the_future_is_given_up_and_what_is_unreported_stays() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (ahead, goes_on) in [(0, true), (30 * 60, true), (2 * 60 * 60, false), (10 * 365 * 86_400, false)]
        {
            let begun_ms = millis(now + Duration::from_secs(ahead));
            let digest = Digest::sha256_of(b"damaged");
            let before = Progress {
                cycle: Cycle { begun_ms, blobs: 7, ..Cycle::default() },
                after: Some(digest.clone()),
                unreported: vec![digest.clone()],
                ..Progress::default()
            };
            let mut progress = before.clone();
            progress.give_up_future_cycle(now);
            progress.begin(now, false);
            assert_eq!(progress == before, goes_on, "{ahead} s ahead: {progress:?}");
            let begun = if goes_on { begun_ms } else { millis(now) };
            assert_eq!((progress.cycle.begun_ms, progress.unreported), (begun, vec![digest]));
            assert_eq!(progress.after.is_some(), goes_on);
        }
    }
}
