//! `Leases`: the registry's side of the protocol: which lease files need renewal, and checks for pending deletions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::{StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use super::pending::{ActiveRun, Batch};
use super::runs::{Runs, Sign, Unread};
use super::{PendingDeletions, RUN_CACHE_TTL};
use crate::clock::{Clock, Moment};
use crate::layout::{Entry, collection_root};
use crate::oci::Digest;
use crate::{Error, Result};

/// The collections in a store, as far as one process knows them.
#[derive(Debug)]
pub(crate) struct Leases {
    /// Grace period of the configured collections, if any.
    grace: Option<Duration>,
    clock: Clock,
    /// A plain mutex: held only to copy, never across an await.
    seen: Mutex<Option<SizeCheck>>,
    /// A plain mutex: held only to take over a listing, never across an await.
    runs: Mutex<Runs>,
    /// The request that reads batches holds this across its reads: other requests need the same batches.
    reading: tokio::sync::Mutex<()>,
    /// When the data of a digest were last known to exist. A plain mutex: held only for a lookup.
    data: Mutex<HashMap<Digest, Sighting>>,
}

/// Data that were known to exist.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    at: Instant,
    size_bytes: u64,
}

/// The result of a check of the store.
#[derive(Clone, Debug)]
struct SizeCheck {
    at: Moment,
    /// Grace period of the run that continues, or that may still delete something; `None` if there is no such run.
    grace: Option<Duration>,
    pending: PendingDeletions,
}

/// Which lease files the registry renews before it grants a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefreshPolicy {
    /// None: this process knows of no collection of this store.
    Nothing,
    /// Those last written before this time.
    Before(SystemTime),
    /// All.
    Everything,
}

impl RefreshPolicy {
    /// Whether a lease file last written at `modified` needs renewal.
    pub(crate) fn is_due(self, modified: SystemTime) -> bool {
        match self {
            Self::Nothing => false,
            Self::Before(time) => modified < time,
            Self::Everything => true,
        }
    }
}

/// The result of a check for pending deletions.
#[derive(Debug)]
pub(crate) struct PendingSnapshot {
    clock: Clock,
    /// When the check found no run; `None` if it found one.
    free_at: Option<Moment>,
    pub(crate) pending: PendingDeletions,
}

impl PendingSnapshot {
    /// Whether no run can have marked since the check: every collector will see what is in the store now.
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

    /// Returns which lease files need renewal now.
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

    /// Whether the registry renews lease files without a run, too: then they stay young for long enough.
    pub(crate) fn is_configured(&self) -> bool {
        self.grace.is_some_and(|grace| !grace.is_zero())
    }

    /// Whether a collection is running or may still delete something, by a check no older than [`RUN_CACHE_TTL`].
    pub(crate) async fn is_collecting(&self, driver: &Arc<dyn StorageDriver>) -> Result<bool> {
        Ok(self.seen(driver).await?.grace.is_some())
    }

    /// Checks for pending deletions. Callers must write the lease file first.
    pub(crate) async fn check_pending(&self, driver: &Arc<dyn StorageDriver>) -> Result<PendingSnapshot> {
        let remembered = self.remembered().filter(|seen| seen.grace.is_none());
        let seen = match remembered {
            Some(seen) => seen,
            None => self.see(driver).await?,
        };
        let free_at = seen.grace.is_none().then_some(seen.at);
        Ok(PendingSnapshot { clock: self.clock.clone(), free_at, pending: seen.pending })
    }

    /// Records that the data of a blob or manifest existed at some time after `at`.
    pub(crate) fn note_data(&self, canonical: &Digest, at: Instant, size_bytes: u64) {
        let mut data = self.data.lock();
        if data.len() >= MAX_SIGHTINGS {
            data.retain(|_, noted| noted.at.elapsed() <= RUN_CACHE_TTL);
        }
        if data.len() < MAX_SIGHTINGS {
            data.insert(canonical.clone(), Sighting { at, size_bytes });
        }
    }

    /// The length of the data in bytes, if they exist: the store says so, or they were seen after `look` found no run.
    pub(crate) async fn has_data(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
        look: &PendingSnapshot,
    ) -> Result<Option<u64>> {
        let noted = self.data.lock().get(canonical).copied();
        if let (Some(noted), Some(free_at)) = (noted, look.free_at)
            && noted.at >= free_at.instant
        {
            return Ok(Some(noted.size_bytes));
        }
        let at = Instant::now();
        let data = driver.stat_if_any(&Entry::Blob(canonical.clone()).path()).await?;
        // A power failure leaves an empty file of data that were never synced.
        let size_bytes = data.map(|data| data.size_bytes);
        let size_bytes = size_bytes.filter(|size| *size > 0 || *canonical == Digest::sha256_of(b""));
        if let Some(size_bytes) = size_bytes {
            self.note_data(canonical, at, size_bytes);
        }
        Ok(size_bytes)
    }

    /// Returns a check of the store no older than [`RUN_CACHE_TTL`].
    async fn seen(&self, driver: &Arc<dyn StorageDriver>) -> Result<SizeCheck> {
        match self.remembered() {
            Some(seen) => Ok(seen),
            None => self.see(driver).await,
        }
    }

    fn remembered(&self) -> Option<SizeCheck> {
        let seen = self.seen.lock().clone();
        seen.filter(|seen| self.clock.since(&seen.at) <= RUN_CACHE_TTL)
    }

    /// Checks the store.
    async fn see(&self, driver: &Arc<dyn StorageDriver>) -> Result<SizeCheck> {
        // The moment before the call, because the listing may miss what is written during it.
        let at = self.clock.moment();
        let signs = signs(driver).await?;
        let mut view = self.runs().see(signs, self.clock.now());
        let mut batches = Vec::new();
        for file in std::mem::take(&mut view.unread) {
            match file {
                Unread::Notice(sign) => {
                    let content = driver.get_content_if_any(&sign.0.path()).await?;
                    let notice = content.and_then(|content| ActiveRun::parse(&content));
                    // A notice that is gone was renewed, or its run is over. An unreadable one gives no grace period, so
                    // everything is renewed.
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
        let seen = SizeCheck { at, grace: view.grace, pending: view.pending };
        let mut last = self.seen.lock();
        if last.as_ref().is_none_or(|last| last.at.instant <= at.instant) {
            *last = Some(seen.clone());
        }
        Ok(seen)
    }

    /// Reads batches, each once, however many requests need their content.
    async fn read_batches(
        &self,
        driver: &Arc<dyn StorageDriver>,
        signs: Vec<Sign>,
        pending: &mut PendingDeletions,
    ) -> Result<()> {
        let _turn = self.reading.lock().await;
        let mut unknown = Vec::new();
        for sign in signs {
            // Another request may have read it meanwhile. The content under this name never changes.
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
            // The collector has finished with a batch that is gone.
            let Some(content) = content else { continue };
            let batch = Arc::new(Batch::parse(&content));
            pending.add(batch.clone());
            self.runs().note_batch(sign, batch);
        }
        Ok(())
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock()
    }
}

/// Lists the files of collectors in the store.
pub(crate) async fn signs(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Vec<Sign>> {
    let files = driver.walk(&collection_root(), None);
    let files: Vec<_> = files.try_collect().await?;
    Ok(files.into_iter().filter_map(|file| Some((Entry::parse(&file.path)?, file.modified))).collect())
}

/// How many batches are read at a time: a collection publishes several together.
const BATCHES_AT_ONCE: usize = 8;

/// How many sightings of data are kept: at least as many as one process stores and sees within [`RUN_CACHE_TTL`].
const MAX_SIGHTINGS: usize = 10_000;

/// How long an upload or a manifest push waits for the collector.
#[derive(Debug)]
pub(crate) struct Retry {
    until: Instant,
}

/// Long enough for a batch in most stores, short enough for most clients.
const HOLD_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between checks whether a batch is gone.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Retry {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + HOLD_TIMEOUT }
    }

    /// Waits a moment for `digest` to leave the pending deletions. Fails with [`Error::Collecting`] after [`HOLD_TIMEOUT`].
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
            numbers.for_each(|number| leases.note_data(&digest(number), Instant::now(), 1));
        };
        note(0..2 * MAX_SIGHTINGS);
        let count = || leases.data.lock().len();
        assert_eq!(count(), MAX_SIGHTINGS);
        let capacity = leases.data.lock().capacity();
        let bytes = 2 * capacity * (size_of::<(Digest, Sighting)>() + 1) + MAX_SIGHTINGS * (128 + 16);
        assert!(bytes <= 4 << 20, "{bytes}");
        tokio::time::advance(RUN_CACHE_TTL + Duration::from_millis(1)).await;
        note(0..1);
        assert_eq!(count(), 1);
    }
}
