//! `SyncState`: what a job does and did last, for the debug listener.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use sampan_sync::JobReport;
use serde::Serialize;
use tokio::time::timeout;

use super::Syncer;
use super::history::as_text;
use super::sync_jobs::{Scheduled, report_of};
use sampan_driver::with_causes;

/// A job, for the debug listener.
#[derive(Debug, Serialize)]
pub struct SyncState {
    name: String,
    upstream: String,
    /// The running copy of this process.
    running: Option<RunningState>,
    /// The last run in any process.
    last: Option<LastState>,
    /// Why the last run is not known: the store did not say it.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct RunningState {
    image: Option<String>,
    report: JobReport,
}

#[derive(Debug, Serialize)]
struct LastState {
    begun: Time,
    /// Null for a run that continues, here or in another process, or that was killed.
    ended: Option<Time>,
    report: Option<JobReport>,
}

/// A time in RFC 3339.
#[derive(Debug, Serialize)]
struct Time(#[serde(serialize_with = "as_text")] SystemTime);

/// How long a request waits for the records in the store.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

impl Syncer {
    /// The current state and the last run of each job.
    pub async fn state(&self) -> Vec<SyncState> {
        join_all(self.jobs.iter().map(|scheduled| self.state_of(scheduled))).await
    }

    async fn state_of(&self, scheduled: &Scheduled) -> SyncState {
        let job = &scheduled.job;
        let (last, error) = match timeout(READ_TIMEOUT, self.registry.last_run_of(&job.name)).await {
            Ok(Ok(last)) => (last, None),
            Ok(Err(error)) => (None, Some(with_causes(&error))),
            Err(_) => (None, Some("the store does not answer".to_owned())),
        };
        let running = scheduled
            .running
            .lock()
            .as_ref()
            .map(|running| RunningState { image: running.now(), report: running.report() });
        let last = last.map(|last| LastState {
            begun: Time(last.begun()),
            ended: last.ended().map(Time),
            report: report_of(&last),
        });
        SyncState { name: job.name.to_string(), upstream: job.upstream.clone(), running, last, error }
    }
}
