//! `Leases`: the side of the registry: whether tokens must be renewed, and the look at what is pending.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use super::pending::{ActiveRun, Batch};
use super::runs::{Runs, Sign, Unread};
use super::{PendingDeletions, RUN_CACHE_TTL};
use crate::clock::{Clock, Moment};
use crate::layout::{Entry, collection_root};
use crate::oci::Digest;
use crate::{Error, Result};

/// What one process knows of collections in its store.
#[derive(Debug)]
pub(crate) struct Leases {
    /// The grace period of the collections that are configured, if any are.
    grace: Option<Duration>,
    clock: Clock,
    /// A plain mutex: it is held to copy, never across an await.
    seen: Mutex<Option<Seen>>,
    /// A plain mutex: it is held to take a listing over, never across an await.
    runs: Mutex<Runs>,
    /// Held by the request that reads batches, across that: the others need what it reads.
    reading: tokio::sync::Mutex<()>,
    /// When data were last known to be there. A plain mutex: it is held for a look-up.
    data: Mutex<HashMap<Digest, Instant>>,
}

/// What was seen at a look at the store.
#[derive(Clone, Debug)]
struct Seen {
    at: Moment,
    /// The grace of the run that is going on, or may still delete something; `None` when there is none.
    grace: Option<Duration>,
    pending: PendingDeletions,
}

/// Which tokens are to be renewed before a promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefreshPolicy {
    /// None: as far as is known nobody collects here.
    Nothing,
    /// Those that were last written before.
    Before(SystemTime),
    /// All.
    Everything,
}

impl RefreshPolicy {
    /// Whether a token that was written then is to be renewed.
    pub(crate) fn is_due(self, modified: SystemTime) -> bool {
        match self {
            Self::Nothing => false,
            Self::Before(time) => modified < time,
            Self::Everything => true,
        }
    }
}

/// What was seen at a look.
#[derive(Debug)]
pub(crate) struct PendingSnapshot {
    clock: Clock,
    /// When it was seen that there is no run.
    free_at: Option<Moment>,
    pub(crate) pending: PendingDeletions,
}

impl PendingSnapshot {
    /// Whether no run can have marked since: what stands in the store now, every collector will see.
    pub(crate) fn is_fresh(&self) -> bool {
        self.free_at.is_some_and(|at| self.clock.since(&at) <= RUN_CACHE_TTL)
    }
}

impl Leases {
    pub(crate) fn new(grace: Option<Duration>, clock: Clock) -> Self {
        Self {
            grace,
            clock,
            seen: Mutex::default(),
            runs: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            data: Mutex::default(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Which tokens are to be renewed, as things stand.
    pub(crate) async fn renewal(&self, driver: &Arc<dyn StorageDriver>) -> Result<RefreshPolicy> {
        let grace = match (self.grace, self.seen(driver).await?.grace) {
            (None, None) => return Ok(RefreshPolicy::Nothing),
            (Some(grace), None) | (None, Some(grace)) => grace,
            (Some(configured), Some(of_run)) => configured.min(of_run),
        };
        if grace.is_zero() {
            return Ok(RefreshPolicy::Everything);
        }
        Ok(RefreshPolicy::Before(self.clock.ago(grace / 2)))
    }

    /// Whether tokens are renewed without a run, too: then they are young for long enough.
    pub(crate) fn is_configured(&self) -> bool {
        self.grace.is_some_and(|grace| !grace.is_zero())
    }

    /// Whether a collection is going on, or something may still be deleted by one, by a look no older than [`RUN_CACHE_TTL`].
    pub(crate) async fn is_collecting(&self, driver: &Arc<dyn StorageDriver>) -> Result<bool> {
        Ok(self.seen(driver).await?.grace.is_some())
    }

    /// Looks at what is pending. The token is to be written before.
    pub(crate) async fn check_pending(&self, driver: &Arc<dyn StorageDriver>) -> Result<PendingSnapshot> {
        let remembered = self.remembered().filter(|seen| seen.grace.is_none());
        let seen = match remembered {
            Some(seen) => seen,
            None => self.see(driver).await?,
        };
        let free_at = seen.grace.is_none().then_some(seen.at);
        Ok(PendingSnapshot { clock: self.clock.clone(), free_at, pending: seen.pending })
    }

    /// Notes that the data of a blob or manifest were there at some time after `at`.
    pub(crate) fn note_data(&self, canonical: &Digest, at: Instant) {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() >= MAX_SIGHTINGS {
            data.retain(|_, noted| noted.elapsed() <= RUN_CACHE_TTL);
        }
        if data.len() < MAX_SIGHTINGS {
            data.insert(canonical.clone(), at);
        }
    }

    /// Whether the data are there: as the store says, or as was seen since `look` saw that there is no run.
    pub(crate) async fn has_data(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
        look: &PendingSnapshot,
    ) -> Result<bool> {
        let noted = self.data.lock().unwrap_or_else(PoisonError::into_inner).get(canonical).copied();
        if let (Some(noted), Some(free_at)) = (noted, look.free_at)
            && noted >= free_at.instant
        {
            return Ok(true);
        }
        let at = Instant::now();
        let data = driver.stat_if_any(&Entry::Blob(canonical.clone()).path()).await?;
        // An empty file is what a power failure leaves of data that were never synced.
        let here = data.is_some_and(|data| data.size_bytes > 0 || *canonical == Digest::sha256_of(b""));
        if here {
            self.note_data(canonical, at);
        }
        Ok(here)
    }

    /// What there is in the store, by a look no older than [`RUN_CACHE_TTL`].
    async fn seen(&self, driver: &Arc<dyn StorageDriver>) -> Result<Seen> {
        match self.remembered() {
            Some(seen) => Ok(seen),
            None => self.see(driver).await,
        }
    }

    fn remembered(&self) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.filter(|seen| self.clock.since(&seen.at) <= RUN_CACHE_TTL)
    }

    /// Looks into the store.
    async fn see(&self, driver: &Arc<dyn StorageDriver>) -> Result<Seen> {
        // The moment before the call: what is written during it may be missed by it.
        let at = self.clock.moment();
        let signs = signs(driver).await?;
        let mut view = self.runs().see(signs, self.clock.now());
        let mut batches = Vec::new();
        for file in std::mem::take(&mut view.unread) {
            match file {
                Unread::Notice(sign) => {
                    let content = driver.get_content_if_any(&sign.0.path()).await?;
                    let notice = content.and_then(|content| ActiveRun::parse(&content));
                    // One that is gone is renewed or over; one that cannot be read says nothing, so that everything is renewed.
                    view.add_grace(notice.as_ref().map(ActiveRun::grace).unwrap_or_default());
                    if let Some(notice) = notice {
                        self.runs().note_grace(&sign, notice.grace());
                    }
                }
                Unread::Batch(sign) => batches.push(sign),
            }
        }
        if !batches.is_empty() {
            self.read_batches(driver, batches, &mut view.pending).await?;
        }
        let seen = Seen { at, grace: view.grace, pending: view.pending };
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.at.instant <= at.instant) {
            *last = Some(seen.clone());
        }
        Ok(seen)
    }

    /// Reads batches, each of them once, however many requests are to know what is in it.
    async fn read_batches(
        &self,
        driver: &Arc<dyn StorageDriver>,
        signs: Vec<Sign>,
        pending: &mut PendingDeletions,
    ) -> Result<()> {
        let _turn = self.reading.lock().await;
        let mut unknown = Vec::new();
        for sign in signs {
            // Another request may have read it meanwhile. What has this name never changes.
            match self.runs().batch(&sign) {
                Some(batch) => pending.add(batch),
                None => unknown.push(sign),
            }
        }
        let mut contents = stream::iter(unknown)
            .map(|sign| async move {
                let content = driver.get_content_if_any(&sign.0.path()).await?;
                Ok::<_, Error>((sign, content))
            })
            .buffer_unordered(BATCHES_AT_ONCE);
        while let Some((sign, content)) = contents.try_next().await? {
            // One that is gone is done with.
            let Some(content) = content else { continue };
            let batch = Arc::new(Batch::parse(&content));
            pending.add(batch.clone());
            self.runs().note_batch(sign, batch);
        }
        Ok(())
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What collectors have written down in the store.
pub(crate) async fn signs(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Vec<Sign>> {
    let files = driver.walk(&collection_root(), None);
    let files: Vec<_> = files.try_collect().await?;
    Ok(files.into_iter().filter_map(|file| Some((Entry::parse(&file.path)?, file.modified))).collect())
}

/// How many batches are read at a time: a collection publishes some together.
const BATCHES_AT_ONCE: usize = 8;

/// How many sights of data are remembered: as many as one process stores and sees while a look is believed, and more.
const MAX_SIGHTINGS: usize = 10_000;

/// The patience of an upload or manifest with the collector.
#[derive(Debug)]
pub(crate) struct Retry {
    until: Instant,
}

/// Long enough for a batch in most stores, short enough for most clients.
const HOLD_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is seen whether a batch is gone.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Retry {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + HOLD_TIMEOUT }
    }

    /// Waits a moment for `digest` to be out of the collector's hands.
    pub(crate) async fn wait(&self, digest: &Digest) -> Result<()> {
        if Instant::now() >= self.until {
            return Err(Error::Collecting(digest.clone()));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[tokio::test(start_paused = true)]
    async fn sights_of_data_are_few_and_new_ones_take_the_place_of_old_ones() {
        let leases = Leases::new(None, Clock::default());
        let digest = |number: usize| Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        let note = |numbers: std::ops::Range<usize>| {
            numbers.for_each(|number| leases.note_data(&digest(number), Instant::now()));
        };
        note(0..2 * MAX_SIGHTINGS);
        let count = || leases.data.lock().unwrap().len();
        assert_eq!(count(), MAX_SIGHTINGS);
        let capacity = leases.data.lock().unwrap().capacity();
        let bytes = 2 * capacity * (size_of::<(Digest, Instant)>() + 1) + MAX_SIGHTINGS * (128 + 16);
        assert!(bytes <= 4 << 20, "{bytes}");
        tokio::time::advance(RUN_CACHE_TTL + Duration::from_millis(1)).await;
        note(0..1);
        assert_eq!(count(), 1);
    }
}
