//! `JobRun`: of several registries over one store, one runs a job at a time, and all know how its last run ended.
//!
//! Each run has its own file, `sync/<job>/<number>`. Its registry creates the file, of two that begin at once only one, writes it
//! again as a sign of life, and writes the result into it at the end. A run without a sign of life for [`JobRecord::LOCK`] is over:
//! the next one may begin. A job does its work so that a second run beside it does no harm, as after a pause, on a store that
//! overwrites existing files, or by a wrong clock.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ErrorKind, PutMode, StorageDriverExt};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::clock::{millis, time_of};
use crate::job_name::JobName;
use crate::layout::{Entry, sync_runs};
use crate::{Registry, Result};

/// The record of the last run of a job in the store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JobRecord {
    #[serde(skip)]
    number: u64,
    begun_ms: u64,
    /// The last sign of life.
    alive_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    /// The result that the run left, in the form of the job; null while it runs.
    #[serde(default)]
    pub result: serde_json::Value,
}

/// The right to run a job now.
#[derive(Debug)]
pub struct JobRun {
    registry: Registry,
    job: JobName,
    record: JobRecord,
    earlier: Vec<u64>,
}

/// The time from one sign of life to the next.
const RENEW_INTERVAL: Duration = Duration::from_secs(60);

impl JobRecord {
    /// How long a run counts as alive after a sign of life.
    pub const LOCK: Duration = Duration::from_secs(5 * 60);

    /// When the run began.
    pub fn begun(&self) -> SystemTime {
        time_of(self.begun_ms)
    }

    /// When the run ended; `None` if it runs, or was killed.
    pub fn ended(&self) -> Option<SystemTime> {
        self.ended_ms.map(time_of)
    }

    /// How long the run may be alive still without a further sign of life; `None` if it has ended or is silent for too long.
    pub fn alive_for(&self, now: SystemTime) -> Option<Duration> {
        let alive = time_of(self.alive_ms);
        // A time in the future comes from a clock that was wrong, possibly by years.
        let silent = now.duration_since(alive).unwrap_or_else(|error| error.duration());
        Self::LOCK.checked_sub(silent).filter(|left| !left.is_zero() && self.ended_ms.is_none())
    }
}

impl Registry {
    /// The last run of a job in any process, finished or running; `None` if there was none.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn last_run_of(&self, job: &JobName) -> Result<Option<JobRecord>> {
        let numbers = self.runs_of(job).await?;
        match numbers.into_iter().max() {
            Some(number) => self.record_of(job, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// Begins a run after `last`, unless that is alive, or another began since it was read.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn begin_run_of(&self, job: &JobName, last: Option<&JobRecord>) -> Result<Option<JobRun>> {
        let now = self.clock().now();
        let is_alive = last.is_some_and(|last| last.alive_for(now).is_some());
        let earlier = self.runs_of(job).await?;
        let latest = earlier.iter().max().copied();
        if is_alive || latest != last.map(|last| last.number) {
            return Ok(None);
        }
        let now = millis(now);
        let number = latest.map_or(0, |number| number.wrapping_add(1));
        let record = JobRecord {
            number,
            begun_ms: now,
            alive_ms: now,
            ended_ms: None,
            result: serde_json::Value::Null,
        };
        let run = JobRun { registry: self.clone(), job: job.clone(), record, earlier };
        match run.write(PutMode::Create).await {
            Ok(()) => Ok(Some(run)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The numbers of the recorded runs.
    async fn runs_of(&self, job: &JobName) -> Result<Vec<u64>> {
        let mut files = self.driver().walk(&sync_runs(job), None);
        let mut numbers = Vec::new();
        while let Some(file) = files.try_next().await? {
            if let Some(Entry::SyncRun(_, number)) = Entry::parse(&file.path) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// The record with this number. One that is unreadable, as after a power failure, is that of a run that is over.
    async fn record_of(&self, job: &JobName, number: u64) -> Result<JobRecord> {
        let path = Entry::SyncRun(job.clone(), number).path();
        let content = self.driver().get_content_if_any(&path).await?.unwrap_or_default();
        let record = serde_json::from_slice(&content).unwrap_or(JobRecord {
            number,
            begun_ms: 0,
            alive_ms: 0,
            ended_ms: None,
            result: serde_json::Value::Null,
        });
        Ok(JobRecord { number, ..record })
    }
}

impl JobRun {
    /// When the run began.
    pub fn begun(&self) -> SystemTime {
        self.record.begun()
    }

    /// Gives a sign of life each minute. Returns when another run has begun, as after a pause of this process.
    pub async fn keep_alive(&mut self) {
        loop {
            sleep(RENEW_INTERVAL).await;
            match self.renew().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(
                    job = %self.job, error = &error as &dyn std::error::Error,
                    "job {}: its sign of life cannot be written, so another process may run it too", self.job
                ),
            }
        }
    }

    /// Gives a sign of life, and returns whether the run is still the last one.
    ///
    /// # Errors
    ///
    /// Any error of the store; the run may continue.
    pub async fn renew(&mut self) -> Result<bool> {
        let latest = self.registry.runs_of(&self.job).await?.into_iter().max();
        if latest.is_some_and(|latest| latest > self.record.number) {
            return Ok(false);
        }
        self.record.alive_ms = millis(self.registry.clock().now());
        self.write(PutMode::Overwrite).await?;
        Ok(true)
    }

    /// Ends the run with its result, and removes the records of earlier runs.
    ///
    /// # Errors
    ///
    /// Any error of the store; then the run counts as alive for [`JobRecord::LOCK`], and as killed afterwards.
    pub async fn end(mut self, result: serde_json::Value) -> Result<()> {
        let now = millis(self.registry.clock().now());
        self.record = JobRecord { alive_ms: now, ended_ms: Some(now), result, ..self.record };
        self.write(PutMode::Overwrite).await?;
        for number in &self.earlier {
            let path = Entry::SyncRun(self.job.clone(), *number).path();
            if let Err(error) = self.registry.driver().delete(&path).await {
                tracing::debug!(%path, %error, "the record of an earlier run stays until the next one");
            }
        }
        Ok(())
    }

    async fn write(&self, mode: PutMode) -> sampan_driver::Result<()> {
        let content = Bytes::from(serde_json::to_vec(&self.record).unwrap_or_default());
        let path = Entry::SyncRun(self.job.clone(), self.record.number).path();
        self.registry.driver().put_content(&path, content, mode).await
    }
}
