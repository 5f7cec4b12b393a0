//! `History`: what came of the last collections.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use sampan_engine::gc::Report;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last collections of this process, the newest first, and sums over all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    runs: VecDeque<Run>,
    totals: Totals,
}

/// One collection.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Who wanted it.
    pub trigger: Trigger,
    /// When it began.
    #[serde(serialize_with = "as_text")]
    pub begun: SystemTime,
    /// How long it took, in seconds.
    pub duration_secs: f64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Who wanted a collection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// Somebody asked for it.
    Request,
}

/// What came of a collection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It came to its end.
    Finished {
        /// What it found and did.
        report: Box<Report>,
    },
    /// It was stopped: at shutdown, at the end of the window, or by a change of the configuration.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Another replica, or the command, was collecting.
    Elsewhere {
        /// What is known of it.
        reason: String,
    },
    /// The store failed.
    Failed {
        /// How.
        error: String,
    },
}

/// Sums over all collections of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// How many came to their end.
    pub finished: u64,
    /// How many were stopped.
    pub stopped: u64,
    /// How many found another one going on.
    pub elsewhere: u64,
    /// How many failed.
    pub failed: u64,
    /// Blobs that were found to be garbage, by those that finished.
    pub candidates: u64,
    /// Blobs that were deleted.
    pub blobs: u64,
    /// Bytes that were freed.
    pub bytes: u64,
    /// When the last one that finished had finished.
    pub last_success: Option<SystemTime>,
    /// How long that took.
    pub last_duration: Duration,
    /// Blobs that it kept because they were too young.
    pub last_young: u64,
}

/// How many are remembered.
const REMEMBERED: usize = 10;

/// How many files that could not be read are remembered of each.
const NAMED: usize = 100;

impl History {
    /// The last ones, the newest first.
    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.runs.iter()
    }

    /// The sums.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn add(&mut self, mut run: Run) {
        let totals = &mut self.totals;
        match &mut run.outcome {
            Outcome::Finished { report } => {
                totals.finished += 1;
                totals.candidates += report.blobs.count + report.saved;
                totals.blobs += report.blobs.count;
                totals.bytes += report.bytes();
                totals.last_success = Some(SystemTime::now());
                totals.last_duration = Duration::from_secs_f64(run.duration_secs);
                totals.last_young = report.young.count;
                report.unreadable.truncate(NAMED);
            }
            Outcome::Stopped { .. } => totals.stopped += 1,
            Outcome::Elsewhere { .. } => totals.elsewhere += 1,
            Outcome::Failed { .. } => totals.failed += 1,
        }
        self.runs.push_front(run);
        self.runs.truncate(REMEMBERED);
    }
}

impl Run {
    /// One line.
    pub(super) fn log(&self) {
        let seconds = self.duration_secs;
        if let Outcome::Finished { report } = &self.outcome
            && let Some(first) = report.future_paths.first()
        {
            tracing::warn!(
                future = report.future,
                "{} files are dated in the future and too young to be collected until then, the first is {first}: \
                 correct their dates (`touch`)",
                report.future
            );
        }
        match &self.outcome {
            Outcome::Finished { report } if report.is_complete() => {
                tracing::info!(
                    blobs = report.blobs.count,
                    bytes = report.bytes(),
                    manifests = report.manifests,
                    young = report.young.count,
                    seconds,
                    "collected garbage: {}",
                    summary(report)
                );
            }
            Outcome::Finished { report } => {
                let first = report.unreadable.first();
                tracing::warn!(
                    unseen = report.unseen,
                    blobs = report.blobs.count,
                    bytes = report.bytes(),
                    manifests = report.manifests,
                    young = report.young.count,
                    unreadable = report.unreadable.len(),
                    seconds,
                    "collected garbage: {}; {} files could not be read and were kept with all they may refer to, the first is {}: {}",
                    summary(report),
                    report.unreadable.len(),
                    first.map(|unreadable| &*unreadable.path).unwrap_or_default(),
                    first.map(|unreadable| &*unreadable.reason).unwrap_or_default(),
                );
            }
            Outcome::Stopped { reason } => {
                tracing::info!(
                    seconds,
                    "the collection of garbage was stopped after {seconds:.1} s: {reason}"
                );
            }
            Outcome::Elsewhere { reason } => tracing::info!("no garbage was collected here: {reason}"),
            Outcome::Failed { error } => {
                tracing::error!(error, seconds, "garbage could not be collected: {error}");
            }
        }
    }
}

fn summary(report: &Report) -> String {
    format!(
        "{} blobs, {} manifests, {} uploads and {} layer links went, {} bytes were freed, {} blobs are too young, in {:.1} s",
        report.blobs.count,
        report.manifests,
        report.uploads.count,
        report.layer_links,
        report.bytes(),
        report.young.count,
        report.duration_secs
    )
}

pub(super) fn as_text<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = OffsetDateTime::from(*time).format(&Rfc3339).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}
