//! `VerifyState`: what the verification of the running registry does and has found, for the debug listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sampan_engine::verify::{
    Cycle, DataReport, EndReason, Observer, Problem, Progress, Report, StructureReport,
};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::VerifySettings;
use super::found_problems::{FoundProblem, FoundProblems};

/// The state of the verification. Times are in RFC 3339.
#[derive(Debug, Serialize)]
pub struct VerifyState {
    /// Whether the registry verifies by itself.
    enabled: bool,
    /// Whether it hashes data.
    data: bool,
    /// Whether it repairs what can be repaired.
    repair: bool,
    /// Whether the registry is read-only, which prevents verifications.
    read_only: bool,
    /// The part that this process verifies now.
    running: Option<RunningState>,
    /// The present cycle of the store.
    cycle: Option<CycleState>,
    /// The last cycle of the store that came to its end.
    last_cycle: Option<CycleState>,
    /// When tags, links and manifests were last read to the end.
    structure_read: Option<String>,
    /// Why the progress is not that of now: the store did not say it.
    progress_error: Option<String>,
    /// The last part of this process.
    last: Option<Part>,
    /// The problems that this process has found, the latest first.
    found: Vec<FoundState>,
}

#[derive(Debug, Serialize)]
struct RunningState {
    begun: Option<String>,
    /// The data that it has hashed so far.
    blobs: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct CycleState {
    begun: Option<String>,
    ended: Option<String>,
    /// The part of all digests that is hashed, from 0 to 1.
    share: f64,
    blobs: u64,
    bytes: u64,
    damaged: u64,
    healed: u64,
}

/// A part of a verification that has ended.
#[derive(Clone, Debug, Serialize)]
struct Part {
    begun: Option<String>,
    duration_secs: f64,
    #[serde(flatten)]
    outcome: PartOutcome,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
enum PartOutcome {
    Done { ending: EndReason, structure: Option<StructureReport>, data: Option<DataReport>, problems: u64 },
    Failed { error: String },
}

/// A problem that this process has found.
#[derive(Debug, Serialize)]
struct FoundState {
    at: Option<String>,
    #[serde(flatten)]
    problem: Problem,
    /// Further images that need it.
    more_images: u64,
}

/// How long a request waits for the progress in the store. Then it gets the last one that this process knows.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// What a verifier remembers of its parts.
#[derive(Debug, Default)]
pub(super) struct VerifyRecord {
    /// A plain mutex: held to read or update, never across an await.
    known: Mutex<Known>,
    pub(super) found: FoundProblems,
}

#[derive(Debug, Default)]
struct Known {
    progress: Progress,
    running: Option<(SystemTime, Arc<Hashed>)>,
    last: Option<Part>,
}

#[derive(Debug, Default)]
struct Hashed {
    blobs: AtomicU64,
    bytes: AtomicU64,
}

/// A part that is verified; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct RunningPart<'a> {
    record: &'a VerifyRecord,
    begun: SystemTime,
    clock: tokio::time::Instant,
    hashed: Arc<Hashed>,
}

impl VerifyRecord {
    /// Begins a part.
    pub(super) fn begin(&self, begun: SystemTime) -> RunningPart<'_> {
        let hashed = Arc::new(Hashed::default());
        self.known.lock().running = Some((begun, hashed.clone()));
        RunningPart { record: self, begun, clock: tokio::time::Instant::now(), hashed }
    }

    /// When the store's present cycle began, as far as this process knows; `None` if there is none.
    pub(super) fn cycle_begun(&self, now: SystemTime) -> Option<SystemTime> {
        self.known.lock().progress.begun_by(now)
    }

    /// Remembers the progress of the store.
    pub(super) fn note(&self, progress: &Progress) {
        self.known.lock().progress = progress.clone();
    }

    /// The state, with the progress that `read` brings from the store.
    pub(super) async fn state(
        &self,
        settings: Option<&VerifySettings>,
        read_only: bool,
        read: impl Future<Output = sampan_engine::verify::Result<Progress>>,
    ) -> VerifyState {
        let progress_error = match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(Ok(progress)) => {
                self.note(&progress);
                None
            }
            Ok(Err(error)) => Some(sampan_driver::with_causes(&error)),
            Err(_) => Some("the store does not answer".to_owned()),
        };
        let known = self.known.lock();
        let progress = &known.progress;
        VerifyState {
            enabled: settings.is_some(),
            data: settings.is_some_and(|settings| settings.data),
            repair: settings.is_some_and(|settings| settings.repair),
            read_only,
            running: known.running.as_ref().map(|(begun, hashed)| RunningState {
                begun: text(*begun),
                blobs: hashed.blobs.load(Ordering::Relaxed),
                bytes: hashed.bytes.load(Ordering::Relaxed),
            }),
            cycle: (progress.cycle.begun_ms > 0).then(|| CycleState::new(&progress.cycle, progress.share())),
            last_cycle: progress.last.as_ref().map(|last| CycleState::new(last, 1.0)),
            structure_read: progress.structure_ms.and_then(text_of_millis),
            progress_error,
            last: known.last.clone(),
            found: self.found.all().into_iter().map(FoundState::from).collect(),
        }
    }
}

impl RunningPart<'_> {
    /// Counts what is hashed.
    pub(super) fn observer(&self) -> Observer {
        let hashed = self.hashed.clone();
        Observer::new(move |size_bytes| {
            hashed.blobs.fetch_add(1, Ordering::Relaxed);
            hashed.bytes.fetch_add(size_bytes, Ordering::Relaxed);
        })
    }

    /// Ends the part with its report.
    pub(super) fn done(self, report: &Report) {
        let Report { ending, structure, data, .. } = *report;
        self.end(match &report.error {
            Some(error) => PartOutcome::Failed { error: error.clone() },
            None => PartOutcome::Done { ending, structure, data, problems: report.count() },
        });
        self.record.found.add(&report.problems);
    }

    /// Ends the part with an error.
    pub(super) fn failed(self, error: &(dyn std::error::Error + 'static)) {
        self.end(PartOutcome::Failed { error: sampan_driver::with_causes(error) });
    }

    fn end(&self, outcome: PartOutcome) {
        let duration_secs = self.clock.elapsed().as_secs_f64();
        self.record.known.lock().last = Some(Part { begun: text(self.begun), duration_secs, outcome });
    }
}

impl Drop for RunningPart<'_> {
    fn drop(&mut self) {
        self.record.known.lock().running = None;
    }
}

impl CycleState {
    fn new(cycle: &Cycle, share: f64) -> Self {
        let Cycle { begun_ms, ended_ms, blobs, bytes, damaged, healed } = *cycle;
        let ended = (ended_ms > 0).then(|| text_of_millis(ended_ms)).flatten();
        Self { begun: text_of_millis(begun_ms), ended, share, blobs, bytes, damaged, healed }
    }
}

impl From<FoundProblem> for FoundState {
    fn from(FoundProblem { at, problem, more_images }: FoundProblem) -> Self {
        Self { at: text(at), problem, more_images }
    }
}

fn text(time: SystemTime) -> Option<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    text_of_millis(u64::try_from(since.as_millis()).ok()?)
}

/// `None` for a time that no calendar has, as in a damaged file.
fn text_of_millis(millis: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use sampan_engine::oci::Digest;
    use sampan_engine::verify::{ProblemKind, RepairOutcome};
    use serde_json::{Value, json};

    use super::*;

    async fn state(record: &VerifyRecord, progress: Progress) -> Value {
        serde_json::to_value(record.state(None, false, async { Ok(progress) }).await).unwrap()
    }

    #[tokio::test]
    async fn the_state_has_the_part_that_runs_until_it_is_dropped() {
        let record = VerifyRecord::default();
        let part = record.begin(SystemTime::UNIX_EPOCH);
        let running = state(&record, Progress::default()).await["running"].clone();
        assert_eq!(running, json!({ "begun": "1970-01-01T00:00:00Z", "blobs": 0, "bytes": 0 }));
        drop(part);
        assert_eq!(state(&record, Progress::default()).await["running"], Value::Null);
    }

    #[tokio::test]
    async fn a_store_that_says_nothing_leaves_what_is_known() {
        let record = VerifyRecord::default();
        // No calendar has such a time.
        let cycle = Cycle { begun_ms: u64::MAX, blobs: 7, ..Cycle::default() };
        let known = state(&record, Progress { cycle, ..Progress::default() }).await;
        assert_eq!((&known["cycle"]["blobs"], &known["cycle"]["begun"]), (&7.into(), &Value::Null));
        tokio::time::pause();
        let silent = serde_json::to_value(record.state(None, false, std::future::pending()).await).unwrap();
        assert_eq!(silent["cycle"], known["cycle"]);
        assert_eq!(silent["progress_error"], "the store does not answer");
    }

    #[tokio::test]
    async fn the_problems_of_a_part_are_remembered() {
        let problem = Problem {
            path: "/x".to_owned(),
            kind: ProblemKind::Missing,
            digest: Some(Digest::sha256_of(b"")),
            needed_by: Vec::new(),
            outcome: RepairOutcome::Reported,
        };
        let report = Report { problems: vec![problem; 1000], more_problems: 5, ..Report::default() };
        let record = VerifyRecord::default();
        record.begin(SystemTime::UNIX_EPOCH).done(&report);
        record.begin(SystemTime::UNIX_EPOCH).done(&Report::default());
        let state = state(&record, Progress::default()).await;
        assert_eq!(state["found"].as_array().unwrap().len(), 1, "each file once");
        assert_eq!(
            (&state["found"][0]["path"], &state["found"][0]["more_images"]),
            (&"/x".into(), &0.into())
        );
        assert_eq!((&state["last"]["outcome"], &state["last"]["problems"]), (&"done".into(), &0.into()));
    }
}
