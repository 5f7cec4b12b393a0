//! `CollectorLock`: the right to collect in a store, which one collector has at a time; and its notices to those who promise.
//!
//! Nothing that a registry is told depends on there being one collector. Each run has files of its own, whose names no other run
//! uses and which are written once: a notice, `gc/run-<run>-<number>`, and for each batch `gc/doomed-<run>-<number>`. A sign of
//! life is the next notice. Whatever a run writes or removes late, however late, concerns nothing but itself; so two runs at
//! once, as after a pause, do no harm. That there is usually one spares the store the work of the other.
//!
//! A run that was silent for longer than [`ALLOWANCE`] is over: it writes no further notice and deletes nothing. It measures
//! its silence by every clock that it has, and by that of the store, and believes the one that shows most.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::{Deadline, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::timeout;

use super::options::Stop;
use super::{Error, Result};
use crate::clock::{Clock, Moment};
use crate::layout::Entry;
use crate::lease::{AFTERLIFE, ActiveRun, Batch, DeletionKey, LOCK, RUN_CACHE_TTL, Sign, signs};
use crate::run_id::RunId;

/// How long a collector is believed to be alive without a sign of life.
pub const LOCK_TIMEOUT: Duration = LOCK;

/// How long a collector waits, once its notice is up, before it marks: longer than anybody believes that there is none, and
/// than a write takes that relies on it.
pub const SETTLE_DELAY: Duration = Duration::from_secs(RUN_CACHE_TTL.as_secs() + 3);

/// How often it gives a sign of life.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(20);

/// How long after its last sign of life a run may delete: the rest of the lock is for clocks of different speed.
const ALLOWANCE: Duration = Duration::from_secs(LOCK.as_secs() / 2);

/// How long one deletion may take, at most.
const DELETION_TIMEOUT: Duration = Duration::from_secs(20);

/// The right to collect in a store.
#[derive(Debug)]
pub(super) struct CollectorLock {
    driver: Arc<dyn StorageDriver>,
    clock: Clock,
    run: RunId,
    notice: ActiveRun,
    /// The number of the last notice.
    number: u64,
    /// The moment before the last notice was written.
    renewed: Moment,
    /// When it was written, by the clock of the store.
    stored: SystemTime,
    /// The number of the next batch.
    next_batch: u64,
    /// The batches that are published, oldest first.
    pending: VecDeque<u64>,
}

impl CollectorLock {
    /// Takes the lock, if no other collector is alive. Of two that try at once the one with the lesser name has it.
    pub(super) async fn take(
        driver: &Arc<dyn StorageDriver>,
        clock: &Clock,
        grace: Duration,
        stop: &Stop,
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
        };
        lock.others(lock.clock.now(), signs(driver).await?).check_alone(|_| true)?;
        lock.write().await?;
        if !grace.is_zero() && timeout(SETTLE_DELAY, stop.said()).await.is_ok() {
            lock.release().await?;
            return Err(Error::Stopped);
        }
        let found = signs(driver).await?;
        if !found.iter().any(|(entry, _)| *entry == lock.entry()) {
            return Err(Error::Lost);
        }
        let others = lock.others(lock.clock.now(), found.clone());
        // Who has written a second notice has seen nobody else; who has not will see this one.
        let yields_to = |other: &Other| other.is_settled || other.run.is_none_or(|run| run < lock.run);
        if let Err(error) = others.check_alone(yields_to) {
            lock.release().await?;
            return Err(error);
        }
        // By the clock of the store alone: it has just dated the notice of this run.
        lock.others(lock.stored, found).remove(driver).await?;
        lock.renew().await?;
        Ok(lock)
    }

    /// Gives a sign of life when the last one was some time ago.
    pub(super) async fn keep(&mut self) -> Result<()> {
        if self.silence() < RENEW_INTERVAL {
            return Ok(());
        }
        self.renew().await
    }

    /// Until when something may be deleted that begins now, after a sign of life if need be.
    pub(super) async fn hold(&mut self) -> Result<Deadline> {
        self.keep().await?;
        let (clock, renewed, now) = (self.clock.clone(), self.renewed, self.clock.moment());
        let deadline = Deadline::new(move || {
            let left = ALLOWANCE.saturating_sub(clock.since(&renewed));
            left.min(DELETION_TIMEOUT.saturating_sub(clock.since(&now)))
        });
        if deadline.has_passed() { Err(Error::Lost) } else { Ok(deadline) }
    }

    /// Sees that it was not silent for too long.
    pub(super) fn check(&self) -> Result<()> {
        if self.silence() > ALLOWANCE { Err(Error::Lost) } else { Ok(()) }
    }

    /// Says what is about to be deleted.
    pub(super) async fn publish(&mut self, keys: &[DeletionKey]) -> Result<()> {
        self.keep().await?;
        let number = self.next_batch;
        self.next_batch += 1;
        self.pending.push_back(number);
        let path = Entry::CollectionPending(self.run, number).path();
        Ok(self.driver.put_content(&path, Batch::content(keys), PutMode::Create).await?)
    }

    /// Says that the oldest batch was. Nothing of it may be under way.
    pub(super) async fn clear(&mut self) -> Result<()> {
        if let Some(number) = self.pending.front() {
            self.driver.delete(&Entry::CollectionPending(self.run, *number).path()).await?;
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Gives the lock back. Nothing may be under way.
    pub(super) async fn release(mut self) -> Result<()> {
        while !self.pending.is_empty() {
            self.clear().await?;
        }
        for number in self.number.saturating_sub(2)..=self.number {
            self.driver.delete(&Entry::CollectionNotice(self.run, number).path()).await?;
        }
        Ok(())
    }

    fn entry(&self) -> Entry {
        Entry::CollectionNotice(self.run, self.number)
    }

    /// How long ago it gave the last sign of life.
    fn silence(&self) -> Duration {
        self.clock.since(&self.renewed)
    }

    /// Writes the next notice, unless it is too late for that: those who promise believe by then that there is no run.
    async fn renew(&mut self) -> Result<()> {
        self.check()?;
        // Somebody who knows that this process is dead may have removed it.
        if self.driver.stat_if_any(&self.entry().path()).await?.is_none() {
            return Err(Error::Lost);
        }
        let (renewed, stored) = (self.renewed, self.stored);
        self.number += 1;
        self.write().await?;
        let silence = self.clock.since(&renewed);
        // The store has a clock, too, that goes on while every clock of this machine stands still.
        let by_store = self.stored.duration_since(stored).unwrap_or_default();
        if silence.max(by_store) > ALLOWANCE {
            return Err(Error::Lost);
        }
        // Not the one before, which a listing may be about to come to, but the one before that.
        if let Some(old) = self.number.checked_sub(2) {
            self.driver.delete(&Entry::CollectionNotice(self.run, old).path()).await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        let (renewed, path) = (self.clock.moment(), self.entry().path());
        self.driver.put_content(&path, self.notice.to_bytes(), PutMode::Create).await?;
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

/// One of them.
struct Other {
    /// `None` where the collector is of an earlier version.
    run: Option<RunId>,
    files: Vec<Entry>,
    /// Since when nothing was heard of it, in either direction: a clock that was a day ahead dates files so.
    silence: Duration,
    /// The same for files that have a date in the past.
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

    /// Sees that nobody else is alive of those that `counts`.
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

    /// Removes what is left of runs of which nothing can come any more: what they were about to delete first.
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
