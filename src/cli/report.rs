//! How commands that carry images report: their options, a running import, its result.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sampan_driver::HumanSize;
use sampan_transfer::{ImportOptions, ImportReport, PlanReader, Progress, Target, import};

use super::args::ReportFormat;
use super::interruption::until_interrupted;
use super::progress::{ProgressMode, TransferSize, show};
use super::prune;
use super::terminal::{count, printable, say, warn};
use super::transfer::{DAMAGED, Failed, INCOMPLETE};

/// How long an interrupted import takes back the blobs that it was storing.
const MAX_FLUSH: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ReportOptions {
    /// How to show progress, on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,

    /// The format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// Print only errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl ReportOptions {
    /// How progress is shown.
    pub(super) fn progress(&self) -> ProgressMode {
        if self.quiet { ProgressMode::None } else { self.progress }
    }

    /// Runs an import until it ends or is interrupted, and names the images that failed. `verb` says what happens to the
    /// images: `imported`.
    pub(super) async fn import(
        &self,
        carried: &dyn PlanReader,
        target: &dyn Target,
        options: &ImportOptions,
        verb: &str,
    ) -> Result<ImportReport, Box<dyn Error>> {
        let progress = Arc::new(Progress::default());
        let mode = if options.dry_run { ProgressMode::None } else { self.progress() };
        let (bytes, images) = (carried.plan().totals()?.bytes, carried.plan().images().count() as u64);
        let shown = show(mode, progress.clone(), TransferSize { bytes, images: Some(images) });
        let outcome = until_interrupted(import(carried, target, options, &progress)).await;
        drop(shown);
        let report = match outcome {
            Ok(imported) => imported?,
            Err(Failed(problem)) => {
                // A store that does not answer keeps the rest of a blob until the next purge.
                let _ = tokio::time::timeout(MAX_FLUSH, target.flush()).await;
                let way_on = format!("What was {verb} stays; run the same command again to continue.");
                return Err(Failed(format!("{problem}\n{way_on}")).into());
            }
        };
        for failure in &report.failures {
            warn(printable(&format!("not {verb}: {}: {}", failure.image, failure.problem)));
        }
        Ok(report)
    }

    /// Prints the report of an import, and returns the exit code; `left_out` images were not even tried.
    pub(super) fn finish(
        &self,
        report: &ImportReport,
        is_dry: bool,
        verb: &str,
        left_out: usize,
    ) -> Result<ExitCode, Box<dyn Error>> {
        if self.format == ReportFormat::Json {
            say(serde_json::to_string_pretty(report)?);
        } else if !self.quiet {
            print(report, is_dry, verb);
            report.prune.iter().for_each(prune::print);
        }
        Ok(match report.failures.iter().any(|failure| failure.is_damage) {
            true => ExitCode::from(DAMAGED),
            false if left_out > 0 || !report.failures.is_empty() => ExitCode::from(INCOMPLETE),
            false => ExitCode::SUCCESS,
        })
    }
}

fn print(report: &ImportReport, is_dry: bool, verb: &str) {
    for change in &report.moved_tags {
        let what = match (change.kept, is_dry) {
            (true, false) => "left alone",
            (true, true) => "would be left alone",
            (false, false) => "moved",
            (false, true) => "would move",
        };
        say(format!("{} {what}: {} there, {} here", change.tag, change.from, change.to));
    }
    if is_dry {
        say(format!("{} would be {verb}", count(report.imported, "image")));
        return;
    }
    say(format!(
        "{} {verb}, {} there already: {} of {} stored, {} there already",
        count(report.imported, "image"),
        report.unchanged,
        count(report.stored_blobs, "blob"),
        HumanSize(report.stored_bytes),
        report.present_blobs,
    ));
}
