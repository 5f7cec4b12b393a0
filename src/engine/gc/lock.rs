//! `CollectorLock`: the right to collect in a store, which one collector has at a time, and the notices that announce its
//! run.
//!
//! No lease depends on there being only one collector. Each run has its own files, whose names no other run uses and which
//! it writes once: a notice, `gc/run-<run>-<number>`, and for each batch `gc/doomed-<run>-<number>`. A sign of life is the
//! next notice. A write or removal, however late, affects only the run that sent it; so two runs at once, as after a pause,
//! do no harm. The lock spares the store the work of a second run.
//!
//! A run that was silent for longer than [`DELETION_WINDOW`] is over: it writes no further notice and deletes nothing. It
//! measures its silence by every clock that it has, and by that of the store, and relies on the clock that shows the
//! longest time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::{Deadline, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Error, Result};
use crate::clock::{Clock, Moment};
use crate::layout::Entry;
use crate::lease::{AFTERLIFE, ActiveRun, Batch, DeletionKey, LOCK, RUN_CACHE_TTL, Sign, signs};
use crate::run_id::RunId;
use crate::space_reserve::put_in_reserve;

/// How long a collector counts as alive without a sign of life.
pub const LOCK_TIMEOUT: Duration = LOCK;

/// How long a collector waits after its first notice before it marks: longer than a registry relies on "no run", plus the
/// time that a write takes which relies on it.
pub const SETTLE_DELAY: Duration = Duration::from_secs(RUN_CACHE_TTL.as_secs() + 3);

/// How often a run gives a sign of life.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(20);

/// How long after its last sign of life a run may delete. The rest of the lock allows for clocks of different speed.
const DELETION_WINDOW: Duration = Duration::from_secs(LOCK.as_secs() / 2);

/// How long one deletion may take at most.
const DELETION_TIMEOUT: Duration = Duration::from_secs(20);

/// The right to collect in a store.
#[derive(Debug)]
pub(crate) struct CollectorLock {
    driver: Arc<dyn StorageDriver>,
    clock: Clock,
    run: RunId,
    notice: ActiveRun,
    /// Number of the last notice.
    number: u64,
    /// The moment before the run wrote its last notice.
    renewed: Moment,
    /// When the run wrote its last notice, by the clock of the store.
    stored: SystemTime,
    /// Number of the next batch.
    next_batch: u64,
    /// Published batches, oldest first.
    pending: VecDeque<u64>,
    /// Whether the store may still carry out a deletion whose answer did not come.
    awaits_answers: bool,
}

impl CollectorLock {
    /// Takes the lock if no other collector is alive. Of two that try at once, the one with the lesser name gets it.
    pub(crate) async fn take(
        driver: &Arc<dyn StorageDriver>,
        clock: &Clock,
        grace: Duration,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let mut lock = Self {
            driver: driver.clone(),
            clock: clock.clone(),
            run: RunId::random(),
            notice: ActiveRun { grace_ms, process: std::process::id() },
            number: 0,
            renewed: clock.moment(),
            stored: SystemTime::UNIX_EPOCH,
            next_batch: 0,
            pending: VecDeque::new(),
            awaits_answers: false,
        };
        lock.others(lock.clock.now(), signs(driver).await?).check_alone(|_| true)?;
        match lock.write_first_notices(grace, stop).await {
            Ok(()) => Ok(lock),
            Err(error) => {
                // Else the next collection would take this run for one that was killed.
                if let Err(again) = lock.release().await {
                    tracing::debug!(error = %again, "the lock of a collection that did not begin stays");
                }
                Err(error)
            }
        }
    }

    /// Writes the first notices, and fails if another run comes first.
    async fn write_first_notices(&mut self, grace: Duration, stop: &CancellationToken) -> Result<()> {
        let driver = self.driver.clone();
        self.write().await?;
        if !grace.is_zero() && timeout(SETTLE_DELAY, stop.cancelled()).await.is_ok() {
            return Err(Error::Stopped);
        }
        let found = signs(&driver).await?;
        if !found.iter().any(|(entry, _)| *entry == self.entry()) {
            return Err(Error::Lost);
        }
        let others = self.others(self.clock.now(), found.clone());
        // A run that has written a second notice has seen no other run; a run that has not will see this one.
        let yields_to = |other: &Other| other.is_settled || other.run.is_none_or(|run| run < self.run);
        others.check_alone(yields_to)?;
        // By the clock of the store alone: it has just dated this run's notice.
        self.others(self.stored, found).remove(&driver).await?;
        self.renew().await
    }

    /// Gives a sign of life if the last one was some time ago.
    pub(crate) async fn keep(&mut self) -> Result<()> {
        if self.silence() < RENEW_INTERVAL {
            return Ok(());
        }
        self.renew().await
    }

    /// Returns the deadline of a deletion that begins now, after a sign of life if one is due.
    pub(super) async fn hold(&mut self) -> Result<Deadline> {
        self.keep().await?;
        let (clock, renewed, now) = (self.clock.clone(), self.renewed, self.clock.moment());
        let deadline = Deadline::new(move || {
            let left = DELETION_WINDOW.saturating_sub(clock.since(&renewed));
            left.min(DELETION_TIMEOUT.saturating_sub(clock.since(&now)))
        });
        if deadline.has_passed() { Err(Error::Lost) } else { Ok(deadline) }
    }

    /// Checks that the run was not silent for too long.
    pub(crate) fn check(&self) -> Result<()> {
        if self.silence() > DELETION_WINDOW { Err(Error::Lost) } else { Ok(()) }
    }

    /// Publishes a batch of pending deletions.
    pub(crate) async fn publish(&mut self, keys: &[DeletionKey]) -> Result<()> {
        self.keep().await?;
        let number = self.next_batch;
        self.next_batch += 1;
        self.pending.push_back(number);
        let path = Entry::CollectionPending(self.run, number).path();
        Ok(put_in_reserve(&self.driver, &path, Batch::content(keys), PutMode::Create).await?)
    }

    /// Removes the oldest batch. No deletion of it may be under way.
    pub(crate) async fn clear(&mut self) -> Result<()> {
        if let Some(number) = self.pending.front() {
            self.driver.delete(&Entry::CollectionPending(self.run, *number).path()).await?;
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Releases the lock. No deletion may be under way.
    pub(crate) async fn release(mut self) -> Result<()> {
        while !self.pending.is_empty() {
            self.clear().await?;
        }
        for number in self.number.saturating_sub(2)..=self.number {
            self.driver.delete(&Entry::CollectionNotice(self.run, number).path()).await?;
        }
        Ok(())
    }

    /// Whether the store may still carry out a deletion. Then the lock must not be released.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.awaits_answers
    }

    /// A deletion begins, or all answers to it are known.
    pub(crate) fn set_awaits_answers(&mut self, awaits_answers: bool) {
        self.awaits_answers = awaits_answers;
    }

    fn entry(&self) -> Entry {
        Entry::CollectionNotice(self.run, self.number)
    }

    /// How long ago the run gave its last sign of life.
    fn silence(&self) -> Duration {
        self.clock.since(&self.renewed)
    }

    /// Writes the next notice, unless it is too late for that: by then, registries assume that there is no run.
    async fn renew(&mut self) -> Result<()> {
        self.check()?;
        // Another process that knows that this one is dead may have removed the notice.
        if self.driver.stat_if_any(&self.entry().path()).await?.is_none() {
            return Err(Error::Lost);
        }
        let (renewed, stored) = (self.renewed, self.stored);
        self.number += 1;
        self.write().await?;
        let silence = self.clock.since(&renewed);
        // The clock of the store continues while every clock of this machine is halted.
        let by_store = self.stored.duration_since(stored).unwrap_or_default();
        if silence.max(by_store) > DELETION_WINDOW {
            return Err(Error::Lost);
        }
        // Not the previous notice, which a listing may be about to reach, but the one before it.
        if let Some(old) = self.number.checked_sub(2) {
            self.driver.delete(&Entry::CollectionNotice(self.run, old).path()).await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        let (renewed, path) = (self.clock.moment(), self.entry().path());
        put_in_reserve(&self.driver, &path, self.notice.to_bytes(), PutMode::Create).await?;
        self.stored = self.driver.stat(&path).await?.modified;
        self.renewed = renewed;
        Ok(())
    }

    fn others(&self, now: SystemTime, found: Vec<Sign>) -> Others {
        Others::of(found.into_iter().filter(|(entry, _)| {
            !matches!(entry, Entry::CollectionNotice(run, _) | Entry::CollectionPending(run, _) if *run == self.run)
        }), now)
    }
}

/// The other runs whose files are in the store.
struct Others(Vec<Other>);

/// Another run.
struct Other {
    /// `None` if the collector is of an earlier version.
    run: Option<RunId>,
    files: Vec<Entry>,
    /// Time between now and the newest file, in either direction: a clock that was a day ahead dates files in the future.
    silence: Duration,
    /// The same, but zero if the newest file is dated in the future.
    age: Duration,
    is_settled: bool,
}

impl Others {
    fn of(found: impl Iterator<Item = Sign>, now: SystemTime) -> Self {
        let mut runs: HashMap<Option<RunId>, Vec<Sign>> = HashMap::new();
        for sign in found {
            let run = match &sign.0 {
                Entry::CollectionNotice(run, _) | Entry::CollectionPending(run, _) => Some(*run),
                Entry::CollectionDoomed | Entry::CollectionRun => None,
                _ => continue,
            };
            runs.entry(run).or_default().push(sign);
        }
        let other = |(run, signs): (Option<RunId>, Vec<Sign>)| {
            let newest = signs.iter().map(|(_, modified)| *modified).max().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = now.duration_since(newest);
            let is_settled = signs.iter().any(|(entry, _)| !matches!(entry, Entry::CollectionNotice(_, 0)));
            let files = signs.into_iter().map(|(entry, _)| entry).collect();
            let silence = age.as_ref().copied().unwrap_or_else(|error| error.duration());
            Other { run, files, silence, age: age.unwrap_or_default(), is_settled }
        };
        Self(runs.into_iter().map(other).collect())
    }

    /// Checks that none of the runs that `counts` selects is alive.
    fn check_alone(&self, counts: impl Fn(&Other) -> bool) -> Result<()> {
        let alive = self.0.iter().filter(|other| other.silence < LOCK && counts(other));
        match alive.max_by_key(|other| LOCK - other.silence) {
            None => Ok(()),
            Some(other) => Err(Error::Running {
                path: other.files.first().map_or_else(crate::layout::collection_root, Entry::path),
                seconds: (LOCK - other.silence).as_millis().div_ceil(1000) as u64,
            }),
        }
    }

    /// Removes the files of runs of which no request can still be carried out: pending deletions first.
    async fn remove(self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        for mut other in self.0.into_iter().filter(|other| other.age > LOCK + AFTERLIFE) {
            other
                .files
                .sort_by_key(|entry| matches!(entry, Entry::CollectionNotice(..) | Entry::CollectionRun));
            for file in other.files {
                driver.delete(&file.path()).await?;
            }
        }
        Ok(())
    }
}
