//! `History`: the results of the last collections.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use sampan_engine::gc::{self, Report};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last collections of this process, the newest first, and totals over all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    runs: VecDeque<Run>,
    totals: Totals,
}

/// A collection.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its trigger.
    pub trigger: Trigger,
    /// When it started.
    #[serde(serialize_with = "as_text")]
    pub begun: SystemTime,
    /// Its duration, in seconds.
    pub duration_secs: f64,
    /// Its result.
    #[serde(flatten)]
    pub outcome: RunOutcome,
}

/// The trigger of a collection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// A request to the debug listener, or from the web page.
    Request,
    /// A request for a dry run, from the web page.
    DryRun,
    /// The caches of other registries store more than they may.
    Caches,
}

/// The result of a collection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RunOutcome {
    /// It finished.
    Finished {
        /// Its findings and deletions.
        report: Box<Report>,
    },
    /// It was stopped: at shutdown, at the end of the window, or by a configuration change.
    Stopped {
        /// The reason.
        reason: String,
    },
    /// Another replica, or the command, was collecting.
    Elsewhere {
        /// The known facts about it.
        reason: String,
    },
    /// The store failed.
    Failed {
        /// The error.
        error: String,
    },
}

/// Totals over all collections of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Finished collections.
    pub finished: u64,
    /// Stopped collections.
    pub stopped: u64,
    /// Collections that found another one running.
    pub elsewhere: u64,
    /// Failed collections.
    pub failed: u64,
    /// Garbage blobs found by finished collections.
    pub candidates: u64,
    /// Deleted blobs.
    pub blobs: u64,
    /// Freed bytes.
    pub bytes: u64,
    /// Manifests that were evicted from caches because they were not used for long, and the bytes of what only they needed.
    pub evicted_ttl: gc::Amount,
    /// The same of those that were evicted because the caches were too large.
    pub evicted_size: gc::Amount,
    /// The end of the last finished collection.
    pub last_success: Option<SystemTime>,
    /// Its duration.
    pub last_duration: Duration,
    /// Blobs that it kept because they are within the grace period.
    pub last_young: u64,
}

/// The most collections to remember.
const REMEMBERED: usize = 10;

/// The most dry runs to remember besides.
const DRY_RUNS_REMEMBERED: usize = 3;

/// The most unreadable files to remember per collection.
const NAMED: usize = 100;

impl History {
    /// The last collections, the newest first.
    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.runs.iter()
    }

    /// The totals.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Adds a run. A dry run counts in no total, whatever came of it, and displaces earlier dry runs alone.
    pub(super) fn add(&mut self, mut run: Run) {
        if let RunOutcome::Finished { report } = &mut run.outcome {
            report.unreadable.truncate(NAMED);
        }
        if !run.is_dry() {
            self.totals.add(&run);
        }
        let (is_dry, most) = (run.is_dry(), if run.is_dry() { DRY_RUNS_REMEMBERED } else { REMEMBERED });
        self.runs.push_front(run);
        let mut alike = 0;
        self.runs.retain(|run| {
            alike += usize::from(run.is_dry() == is_dry);
            run.is_dry() != is_dry || alike <= most
        });
    }
}

impl Totals {
    fn add(&mut self, run: &Run) {
        match &run.outcome {
            RunOutcome::Finished { report } => {
                self.finished += 1;
                self.candidates += report.blobs.count + report.saved;
                self.blobs += report.blobs.count;
                self.bytes += report.bytes();
                let gc::Evicted { ttl, size, .. } = report.evicted;
                for (total, evicted) in [(&mut self.evicted_ttl, ttl), (&mut self.evicted_size, size)] {
                    total.count += evicted.count;
                    total.bytes += evicted.bytes;
                }
                self.last_success = Some(SystemTime::now());
                self.last_duration = Duration::from_secs_f64(run.duration_secs);
                self.last_young = report.young.count;
            }
            RunOutcome::Stopped { .. } => self.stopped += 1,
            RunOutcome::Elsewhere { .. } => self.elsewhere += 1,
            RunOutcome::Failed { .. } => self.failed += 1,
        }
    }
}

impl Run {
    /// Whether it was to delete nothing.
    fn is_dry(&self) -> bool {
        self.trigger == Trigger::DryRun
    }

    /// Logs the result in one line.
    pub(super) fn log(&self) {
        let seconds = self.duration_secs;
        if let RunOutcome::Finished { report } = &self.outcome
            && let Some(first) = report.future_paths.first()
        {
            tracing::warn!(
                future = report.future,
                "{} files have modification times in the future and are not collected until then, the first is {first}: \
                 correct their dates (`touch`)",
                report.future
            );
        }
        match &self.outcome {
            RunOutcome::Finished { report } if report.dry_run => {
                tracing::info!(seconds, "dry run of a collection: it would free {} bytes", report.bytes());
            }
            RunOutcome::Finished { report } if report.is_complete() => {
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
            RunOutcome::Finished { report } => {
                let first = report.unreadable.first();
                tracing::warn!(
                    unseen = report.unseen,
                    blobs = report.blobs.count,
                    bytes = report.bytes(),
                    manifests = report.manifests,
                    young = report.young.count,
                    unreadable = report.unreadable.len(),
                    seconds,
                    "collected garbage: {}; kept {} unreadable files with everything they may refer to, the first is {}: {}",
                    summary(report),
                    report.unreadable.len(),
                    first.map(|unreadable| &*unreadable.path).unwrap_or_default(),
                    first.map(|unreadable| &*unreadable.reason).unwrap_or_default(),
                );
            }
            RunOutcome::Stopped { reason }
            | RunOutcome::Elsewhere { reason }
            | RunOutcome::Failed { error: reason }
                if self.is_dry() =>
            {
                tracing::warn!(seconds, "a dry run of a collection did not finish: {reason}");
            }
            RunOutcome::Stopped { reason } => {
                tracing::info!(seconds, "garbage collection stopped after {seconds:.1} s: {reason}");
            }
            RunOutcome::Elsewhere { reason } => tracing::info!("skipped garbage collection: {reason}"),
            RunOutcome::Failed { error } => {
                tracing::error!(error, seconds, "garbage collection failed: {error}");
            }
        }
    }
}

fn summary(report: &Report) -> String {
    let gc::Evicted { ttl, size, .. } = report.evicted;
    let evicted = match ttl.count + size.count {
        0 => String::new(),
        count => format!("evicted {count} manifests from caches, {} bytes; ", ttl.bytes + size.bytes),
    };
    format!(
        "{evicted}deleted {} blobs, {} manifests, {} uploads and {} layer links, freed {} bytes, {} blobs are within the grace period, in {:.1} s",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(trigger: Trigger, number: u64) -> Run {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        let outcome = RunOutcome::Failed { error: "disk".to_owned() };
        Run { trigger, begun, duration_secs: 1.0, outcome }
    }

    #[test]
    fn dry_runs_count_in_no_total_and_displace_no_collection() {
        let mut history = History::default();
        for number in 0..12 {
            history.add(failed(Trigger::Schedule, number));
        }
        for number in 12..17 {
            history.add(failed(Trigger::DryRun, number));
        }
        let begun = |history: &History| -> Vec<u64> {
            history
                .runs()
                .map(|run| run.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
                .collect()
        };
        assert_eq!(begun(&history), [16, 15, 14, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
        assert_eq!(history.totals().failed, 12);
        history.add(failed(Trigger::Request, 17));
        assert_eq!(begun(&history), [17, 16, 15, 14, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    }
}
