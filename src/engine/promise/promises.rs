//! `Promises`: the side of the registry: whether tokens must be renewed, and the look at what is doomed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use super::notice::{Batch, RunNotice};
use super::runs::{Runs, Sign, Unread};
use super::{Doomed, NOTICE};
use crate::clock::{Clock, Moment};
use crate::layout::{Entry, collection_root};
use crate::oci::Digest;
use crate::{Error, Result};

/// What one process knows of collections in its store.
#[derive(Debug)]
pub(crate) struct Promises {
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
    doomed: Doomed,
}

/// Which tokens are to be renewed before a promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    /// None: as far as is known nobody collects here.
    Nothing,
    /// Those that were last written before.
    Before(SystemTime),
    /// All.
    Everything,
}

impl Renewal {
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
pub(crate) struct Look {
    clock: Clock,
    /// When it was seen that there is no run.
    free_at: Option<Moment>,
    pub(crate) doomed: Doomed,
}

impl Look {
    /// Whether no run can have marked since: what stands in the store now, every collector will see.
    pub(crate) fn is_fresh(&self) -> bool {
        self.free_at.is_some_and(|at| self.clock.since(&at) <= NOTICE)
    }
}

impl Promises {
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
    pub(crate) async fn renewal(&self, driver: &Arc<dyn StorageDriver>) -> Result<Renewal> {
        let grace = match (self.grace, self.seen(driver).await?.grace) {
            (None, None) => return Ok(Renewal::Nothing),
            (Some(grace), None) | (None, Some(grace)) => grace,
            (Some(configured), Some(of_run)) => configured.min(of_run),
        };
        if grace.is_zero() {
            return Ok(Renewal::Everything);
        }
        Ok(Renewal::Before(self.clock.ago(grace / 2)))
    }

    /// Whether tokens are renewed without a run, too: then they are young for long enough.
    pub(crate) fn is_configured(&self) -> bool {
        self.grace.is_some_and(|grace| !grace.is_zero())
    }

    /// Whether a collection is going on, or something may still be deleted by one, by a look no older than [`NOTICE`].
    pub(crate) async fn is_collecting(&self, driver: &Arc<dyn StorageDriver>) -> Result<bool> {
        Ok(self.seen(driver).await?.grace.is_some())
    }

    /// Looks at what is doomed. The token is to be written before.
    pub(crate) async fn look(&self, driver: &Arc<dyn StorageDriver>) -> Result<Look> {
        let remembered = self.remembered().filter(|seen| seen.grace.is_none());
        let seen = match remembered {
            Some(seen) => seen,
            None => self.see(driver).await?,
        };
        let free_at = seen.grace.is_none().then_some(seen.at);
        Ok(Look { clock: self.clock.clone(), free_at, doomed: seen.doomed })
    }

    /// Notes that the data of a blob or manifest were there at some time after `at`.
    pub(crate) fn note_data(&self, canonical: &Digest, at: Instant) {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() >= NOTED {
            data.retain(|_, noted| noted.elapsed() <= NOTICE);
        }
        if data.len() < NOTED {
            data.insert(canonical.clone(), at);
        }
    }

    /// Whether the data are there: as the store says, or as was seen since `look` saw that there is no run.
    pub(crate) async fn has_data(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
        look: &Look,
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

    /// What there is in the store, by a look no older than [`NOTICE`].
    async fn seen(&self, driver: &Arc<dyn StorageDriver>) -> Result<Seen> {
        match self.remembered() {
            Some(seen) => Ok(seen),
            None => self.see(driver).await,
        }
    }

    fn remembered(&self) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.filter(|seen| self.clock.since(&seen.at) <= NOTICE)
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
                    let notice = content.and_then(|content| RunNotice::parse(&content));
                    // One that is gone is renewed or over; one that cannot be read says nothing, so that everything is renewed.
                    view.add_grace(notice.as_ref().map(RunNotice::grace).unwrap_or_default());
                    if let Some(notice) = notice {
                        self.runs().note_grace(&sign, notice.grace());
                    }
                }
                Unread::Batch(sign) => batches.push(sign),
            }
        }
        if !batches.is_empty() {
            self.read_batches(driver, batches, &mut view.doomed).await?;
        }
        let seen = Seen { at, grace: view.grace, doomed: view.doomed };
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
        doomed: &mut Doomed,
    ) -> Result<()> {
        let _turn = self.reading.lock().await;
        let mut unknown = Vec::new();
        for sign in signs {
            // Another request may have read it meanwhile. What has this name never changes.
            match self.runs().batch(&sign) {
                Some(batch) => doomed.add(batch),
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
            doomed.add(batch.clone());
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
const NOTED: usize = 10_000;

/// The patience of an upload or manifest with the collector.
#[derive(Debug)]
pub(crate) struct Hold {
    until: Instant,
}

/// Long enough for a batch in most stores, short enough for most clients.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is seen whether a batch is gone.
const PAUSE: Duration = Duration::from_millis(100);

impl Hold {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + PATIENCE }
    }

    /// Waits a moment for `digest` to be out of the collector's hands.
    pub(crate) async fn wait(&self, digest: &Digest) -> Result<()> {
        if Instant::now() >= self.until {
            return Err(Error::Collecting(digest.clone()));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[tokio::test(start_paused = true)]
    async fn sights_of_data_are_few_and_new_ones_take_the_place_of_old_ones() {
        let promises = Promises::new(None, Clock::default());
        let digest = |number: usize| Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        let note = |numbers: std::ops::Range<usize>| {
            numbers.for_each(|number| promises.note_data(&digest(number), Instant::now()));
        };
        note(0..2 * NOTED);
        let count = || promises.data.lock().unwrap().len();
        assert_eq!(count(), NOTED);
        let capacity = promises.data.lock().unwrap().capacity();
        let bytes = 2 * capacity * (size_of::<(Digest, Instant)>() + 1) + NOTED * (128 + 16);
        assert!(bytes <= 4 << 20, "{bytes}");
        tokio::time::advance(NOTICE + Duration::from_millis(1)).await;
        note(0..1);
        assert_eq!(count(), 1);
    }
}
