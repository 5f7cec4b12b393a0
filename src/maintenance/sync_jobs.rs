//! `Syncer`: runs the jobs that copy from other registries, each on its schedule.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use parking_lot::Mutex;
use sampan_cache::Caches;
use sampan_engine::{JobRecord, JobRun, Registry};
use sampan_sync::{Change, Job, JobFailure, JobReport, RunOptions, Running, run};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Schedule;
use super::background::in_background_by;

/// Runs jobs while the registry runs. One of the replicas over a store runs a job at a time.
#[derive(Debug)]
pub struct Syncer {
    pub(super) registry: Registry,
    caches: Caches,
    pub(super) jobs: Vec<Scheduled>,
    ending: CancellationToken,
}

#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) job: Arc<Job>,
    schedule: Schedule,
    /// Plain mutexes: held to read or update, never across an await.
    pub(super) running: Mutex<Option<Arc<Running>>>,
    totals: Mutex<SyncTotals>,
}

/// The totals of the runs of a job in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyncTotals {
    /// Runs after which everything was here.
    pub whole: u64,
    /// Runs that left something out.
    pub incomplete: u64,
    /// Runs that did not come to their end.
    pub stopped: u64,
    /// Images that were copied.
    pub copied: u64,
    /// Images that were here.
    pub unchanged: u64,
    /// Images and repositories that failed.
    pub failed: u64,
    /// Bytes of blobs that were stored.
    pub bytes: u64,
    /// When the last run ended after which everything was here, in any process that this one knows of.
    pub last_whole: Option<SystemTime>,
}

/// How many blobs of a job are copied at a time.
const BLOBS: usize = 3;

/// How long a run that was stopped waits before the next, unless the upstream said how long.
const RETRY: Duration = Duration::from_secs(10 * 60);

/// The longest sleep: meanwhile a clock may have jumped, or another process may have run the job.
const LONGEST_SLEEP: Duration = Duration::from_secs(10 * 60);

/// How often a job that must not run checks whether it may.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The largest random delay, to spread the replicas of a store.
const MAX_JITTER: Duration = Duration::from_secs(60);

impl Syncer {
    /// Creates a syncer for `jobs`; it does not run yet.
    pub fn new(registry: Registry, caches: Caches, jobs: Vec<(Job, Schedule)>) -> Self {
        let scheduled = |(job, schedule)| Scheduled {
            job: Arc::new(job),
            schedule,
            running: Mutex::default(),
            totals: Mutex::default(),
        };
        let jobs = jobs.into_iter().map(scheduled).collect();
        Self { registry, caches, jobs, ending: CancellationToken::new() }
    }

    /// Stops the runs, whose records say so, and ends [`run`](Self::run).
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Runs each job when it is due, until [`end`](Self::end). A run that is dropped counts as killed.
    pub async fn run(&self) {
        join_all(self.jobs.iter().map(|scheduled| self.keep(scheduled))).await;
    }

    /// The jobs with their totals.
    pub fn totals(&self) -> impl Iterator<Item = (&str, SyncTotals)> {
        self.jobs.iter().map(|scheduled| (scheduled.job.name.as_str(), *scheduled.totals.lock()))
    }

    async fn keep(&self, scheduled: &Scheduled) {
        let spread =
            || MAX_JITTER.min(scheduled.schedule.interval / 10).mul_f64(rand::random_range(0.0..1.0));
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = sleep(pause.min(LONGEST_SLEEP) + spread()) => {}
            }
            pause = self.attempt(scheduled).await;
        }
    }

    /// Runs a job if it is due, and returns the time until the next attempt.
    async fn attempt(&self, scheduled: &Scheduled) -> Duration {
        let job = &scheduled.job;
        if self.registry.limits().read_only || self.caches.is_offline() {
            return CHECK_INTERVAL;
        }
        let last = match self.registry.last_run_of(&job.name).await {
            Ok(last) => last,
            Err(error) => return failed(job, &error),
        };
        let now = self.registry.clock().now();
        if let Some(last) = &last {
            scheduled.note(last);
        }
        let wait = wait(&scheduled.schedule, last.as_ref(), now);
        if !wait.is_zero() {
            return wait;
        }
        match self.registry.begin_run_of(&job.name, last.as_ref()).await {
            Ok(Some(begun)) => self.run_now(scheduled, begun, now).await,
            Ok(None) => CHECK_INTERVAL,
            Err(error) => failed(job, &error),
        }
    }

    /// Runs a job, and returns the time until the next attempt.
    async fn run_now(&self, scheduled: &Scheduled, mut begun: JobRun, now: SystemTime) -> Duration {
        let job = &scheduled.job;
        let running = Arc::new(Running::default());
        *scheduled.running.lock() = Some(running.clone());
        // Also when this future is dropped.
        let _ends = RunningMark(scheduled);
        tracing::debug!(job = %job.name, "job {} begins", job.name);
        let mut work = pin!(self.work(job, &running));
        let closes = async {
            match scheduled.schedule.ends_in(now) {
                Some(left) => sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let stopped = tokio::select! {
            ended = &mut work => {
                if let Err(error) = ended {
                    running.stop(format!("cannot start a thread: {error}"), None);
                }
                None
            }
            () = begun.keep_alive() => Some(("another process runs it".to_owned(), None)),
            () = closes => Some(("its window has closed".to_owned(), None)),
            // The next process continues at once.
            () = self.ending.cancelled() => Some(("the registry was stopped".to_owned(), Some(Duration::ZERO))),
        };
        if let Some((reason, retry_after)) = stopped {
            running.stop(reason, retry_after);
            // It ends at once, and without an error: it has begun.
            let _ = work.await;
        }
        let report = running.report();
        scheduled.take(&report, self.registry.clock().now());
        log(job, &report);
        let result = serde_json::to_value(&report).unwrap_or_default();
        match begun.end(result).await {
            Ok(()) => CHECK_INTERVAL.min(scheduled.schedule.interval),
            Err(error) => failed(job, &error),
        }
    }

    /// Copies on a thread of low priority, on which clients do not wait.
    fn work(
        &self,
        job: &Arc<Job>,
        running: &Arc<Running>,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let options = RunOptions {
            dry_run: false,
            blobs_at_a_time: BLOBS,
            max_manifest_bytes: self.registry.limits().manifest_size_bytes,
        };
        let (job, running) = (job.clone(), running.clone());
        let (caches, registry) = (self.caches.clone(), self.registry.clone());
        in_background_by(move || async move {
            let tell = |change: &Change| {
                let Change { repository, tag, to, .. } = change;
                tracing::debug!(job = %job.name, %repository, %tag, digest = %to, "copied {repository}:{tag}");
            };
            run(&job, &caches, &registry, options, &running, &tell).await;
        })
    }
}

/// Marks that a job no longer runs.
struct RunningMark<'a>(&'a Scheduled);

impl Drop for RunningMark<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() = None;
    }
}

impl Scheduled {
    fn take(&self, report: &JobReport, now: SystemTime) {
        let mut totals = self.totals.lock();
        match (report.is_whole(), &report.stopped) {
            (true, _) => {
                totals.whole += 1;
                totals.last_whole = Some(now);
            }
            (false, None) => totals.incomplete += 1,
            (false, Some(_)) => totals.stopped += 1,
        }
        totals.copied += report.copied;
        totals.unchanged += report.unchanged;
        totals.failed += report.failed;
        totals.bytes += report.bytes;
    }

    /// Learns from the record of a run, which may be another process's.
    fn note(&self, last: &JobRecord) {
        let is_whole = report_of(last).is_some_and(|report| report.is_whole());
        if let Some(ended) = last.ended().filter(|_| is_whole) {
            let mut totals = self.totals.lock();
            totals.last_whole = totals.last_whole.max(Some(ended));
        }
    }
}

/// The report of a run that has ended.
pub(super) fn report_of(record: &JobRecord) -> Option<JobReport> {
    record.ended()?;
    serde_json::from_value(record.result.clone()).ok()
}

/// The time until a job is due, after its last run in any process.
pub(super) fn wait(schedule: &Schedule, last: Option<&JobRecord>, now: SystemTime) -> Duration {
    let Some(last) = last else { return schedule.wait(None, now) };
    if let Some(left) = last.alive_for(now) {
        return left.min(CHECK_INTERVAL);
    }
    let regular = schedule.wait(Some(last.begun()), now);
    let Some(ended) = last.ended() else {
        // It was killed.
        return schedule.wait(None, now);
    };
    let report = report_of(last).unwrap_or_default();
    if report.stopped.is_none() {
        return regular;
    }
    let pause = report.retry_after_secs.map_or(RETRY, Duration::from_secs);
    let again = Schedule { interval: pause.min(schedule.interval), window: None }.wait(Some(ended), now);
    let opens_in = schedule.window.map_or(Duration::ZERO, |window| window.opens_in(now + again));
    regular.min(again + opens_in)
}

fn failed(job: &Job, error: &sampan_engine::Error) -> Duration {
    tracing::warn!(
        job = %job.name, error = error as &dyn std::error::Error,
        "job {}: its record in the store cannot be read or written", job.name
    );
    RETRY
}

/// One line for each run, and for each of the failures that its report names.
fn log(job: &Job, report: &JobReport) {
    let JobReport { repositories, copied, unchanged, bytes, removed_tags, failed, .. } = *report;
    let name = &job.name;
    for JobFailure { image, problem } in &report.failures {
        tracing::warn!(job = %name, %image, %problem, "job {name}: {image} was not copied: {problem}");
    }
    match &report.stopped {
        None if failed == 0 => tracing::info!(
            job = %name, repositories, copied, unchanged, bytes, removed_tags,
            "job {name}: {copied} images copied, {unchanged} were here"
        ),
        None => tracing::warn!(
            job = %name, repositories, copied, unchanged, bytes, removed_tags, failed,
            "job {name}: {copied} images copied, {unchanged} were here, {failed} failed"
        ),
        Some(reason) => tracing::warn!(
            job = %name, repositories, copied, unchanged, bytes, removed_tags, failed,
            "job {name} stopped after {copied} images: {reason}"
        ),
    }
}
