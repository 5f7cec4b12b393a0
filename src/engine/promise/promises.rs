//! `Promises`: the side of the registry: whether tokens must be renewed, and the look at what is doomed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sampan_driver::{StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use super::{Doomed, NOTICE, RunNotice};
use crate::clock::Clock;
use crate::layout::Entry;
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
    /// When data were last known to be there. A plain mutex: it is held for a look-up.
    data: Mutex<HashMap<Digest, Instant>>,
}

#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    run: Option<RunNotice>,
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
    /// When it was seen that there is no run.
    free_at: Option<Instant>,
    pub(crate) doomed: Doomed,
}

impl Look {
    /// Whether no run can have marked since: what stands in the store now, every collector will see.
    pub(crate) fn is_fresh(&self) -> bool {
        self.free_at.is_some_and(|at| at.elapsed() <= NOTICE)
    }
}

impl Promises {
    pub(crate) fn new(grace: Option<Duration>, clock: Clock) -> Self {
        Self { grace, clock, seen: Mutex::default(), data: Mutex::default() }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Which tokens are to be renewed, as things stand.
    pub(crate) async fn renewal(&self, driver: &Arc<dyn StorageDriver>) -> Result<Renewal> {
        let run = self.run(driver).await?.run;
        let grace = match (self.grace, run.map(|run| run.grace())) {
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

    /// Looks at what is doomed. The token is to be written before.
    pub(crate) async fn look(&self, driver: &Arc<dyn StorageDriver>) -> Result<Look> {
        let seen = self.run(driver).await?;
        if seen.run.is_none() {
            return Ok(Look { free_at: Some(seen.at), doomed: Doomed::default() });
        }
        let content = driver.get_content_if_any(&Entry::CollectionDoomed.path()).await?;
        let doomed = content.map(|content| Doomed::parse(&content)).unwrap_or_default();
        Ok(Look { free_at: None, doomed })
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
            && noted >= free_at
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

    /// The run that is going on, by a look no older than [`NOTICE`].
    async fn run(&self, driver: &Arc<dyn StorageDriver>) -> Result<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(seen) = seen.filter(|seen| seen.at.elapsed() <= NOTICE) {
            return Ok(seen);
        }
        // The moment before the call: what is written during it may be missed by it.
        let at = Instant::now();
        let content = driver.get_content_if_any(&Entry::CollectionRun.path()).await?;
        let run = content.map(|content| RunNotice::parse(&content).unwrap_or_else(RunNotice::unknown));
        let seen = Seen { at, run: run.filter(|run| !run.has_expired(self.clock.now())) };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
        Ok(seen)
    }
}

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
