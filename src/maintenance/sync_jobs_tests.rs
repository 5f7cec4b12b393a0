//! Tests of when jobs run.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sampan_driver::{PutMode, StorageDriver as _};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::{Clock, JobRecord, Registry};
use sampan_sync::JobReport;

use super::Schedule;
use super::sync_jobs::wait;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The records of a job's runs, and the time, in minutes.
struct Runs {
    registry: Registry,
    minutes: Arc<Mutex<u32>>,
}

impl Runs {
    fn new() -> Self {
        let minutes = Arc::new(Mutex::new(0));
        // Records have milliseconds.
        let (now, start) = (minutes.clone(), SystemTime::UNIX_EPOCH + 500_000 * HOUR);
        let clock = Clock::new(move || start + *now.lock() * Duration::from_secs(60));
        Self { registry: Registry::builder(Arc::new(InMemoryDriver::new())).clock(clock).build(), minutes }
    }

    async fn last(&self) -> Option<JobRecord> {
        self.registry.last_run_of(&"job".parse().unwrap()).await.unwrap()
    }

    async fn begin(&self) -> sampan_engine::JobRun {
        let last = self.last().await;
        self.registry.begin_run_of(&"job".parse().unwrap(), last.as_ref()).await.unwrap().unwrap()
    }

    /// How long the job waits, in minutes.
    async fn wait(&self) -> u64 {
        let schedule = Schedule { interval: 6 * HOUR, window: None };
        wait(&schedule, self.last().await.as_ref(), self.registry.clock().now()).as_secs() / 60
    }

    fn pass(&self, minutes: u32) {
        *self.minutes.lock() += minutes;
    }
}

fn result(stopped: Option<&str>, retry_after_secs: Option<u64>) -> serde_json::Value {
    let report = JobReport { stopped: stopped.map(str::to_owned), retry_after_secs, ..JobReport::default() };
    serde_json::to_value(report).unwrap()
}

#[tokio::test]
async fn a_job_is_due_an_interval_after_its_last_run_and_earlier_after_one_that_was_stopped() {
    let runs = Runs::new();
    assert_eq!(runs.wait().await, 0);
    let run = runs.begin().await;
    runs.pass(60);
    run.end(result(None, None)).await.unwrap();
    assert_eq!(runs.wait().await, 5 * 60);
    runs.pass(5 * 60);
    assert_eq!(runs.wait().await, 0);
    let run = runs.begin().await;
    run.end(result(Some("away"), None)).await.unwrap();
    assert_eq!(runs.wait().await, 10);
    let run = runs.begin().await;
    run.end(result(Some("too many"), Some(2 * 60 * 60))).await.unwrap();
    assert_eq!(runs.wait().await, 2 * 60);
    let run = runs.begin().await;
    run.end(result(Some("too many"), Some(u64::MAX))).await.unwrap();
    assert_eq!(runs.wait().await, 6 * 60, "not longer than the interval");
    let run = runs.begin().await;
    run.end(result(Some("the registry was stopped"), Some(0))).await.unwrap();
    assert_eq!(runs.wait().await, 0);
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_does_not_end_a_job_for_years() {
    let runs = Runs::new();
    let year = 365 * 24 * 60;
    runs.pass(year);
    runs.begin().await.end(result(None, None)).await.unwrap();
    *runs.minutes.lock() = 0;
    assert_eq!(runs.wait().await, 0);
    runs.begin().await.end(result(None, None)).await.unwrap();
    assert_eq!(runs.wait().await, 6 * 60);
    // A little ahead is the clock of another machine.
    *runs.minutes.lock() = year;
    runs.begin().await.end(result(None, None)).await.unwrap();
    *runs.minutes.lock() = year - 10;
    assert_eq!(runs.wait().await, 6 * 60 - 10);
}

#[tokio::test]
async fn one_process_runs_a_job_at_a_time_and_a_killed_run_is_taken_over() {
    let runs = Runs::new();
    let before = runs.last().await;
    let mut first = runs.begin().await;
    let name = "job".parse().unwrap();
    assert!(runs.registry.begin_run_of(&name, before.as_ref()).await.unwrap().is_none());
    assert_eq!(runs.wait().await, 1);
    runs.pass(4);
    assert!(first.renew().await.unwrap());
    runs.pass(4);
    assert_eq!(runs.wait().await, 1, "it gave a sign of life");
    runs.pass(1);
    assert_eq!(runs.wait().await, 0);
    let second = runs.begin().await;
    assert!(!first.renew().await.unwrap(), "another run has begun");
    second.end(result(None, None)).await.unwrap();
    let ended = runs.last().await;
    first.end(result(Some("late"), None)).await.unwrap();
    assert_eq!(runs.last().await, ended, "the record of a later run is left alone");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_that_of_a_run_that_is_over() {
    let runs = Runs::new();
    runs.begin().await;
    let path = sampan_engine::layout::Entry::SyncRun("job".parse().unwrap(), 0).path();
    runs.registry.driver().put_content(&path, "{".into(), PutMode::Overwrite).await.unwrap();
    assert_eq!(runs.wait().await, 0);
    runs.begin().await.end(result(None, None)).await.unwrap();
    assert_eq!(runs.wait().await, 6 * 60);
}
