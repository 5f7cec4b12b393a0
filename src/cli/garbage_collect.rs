//! `registry garbage-collect`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_driver::HumanSize;
use sampan_engine::gc::{self, Event, Observer, Options, Report, TooMuch};

use super::args::{CollectOptions, ReportFormat};
use super::check;
use super::terminal::{count, say, warn};
use crate::app::{self, AppError};
use crate::config::{Config, GoDuration, Loaded};
use crate::drivers::Drivers;

/// The exit code of a collection that could not read everything, and kept what it could not judge.
const INCOMPLETE: u8 = 3;

pub(super) fn run(
    drivers: &Drivers,
    command: CollectOptions,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Loaded { config, source, .. } = check::find(drivers, command.config)?;
    let grace = command.grace.map_or_else(|| default_grace(&config), |grace| grace.0);
    let uploads = &config.storage.maintenance.uploadpurging;
    let json = command.format == ReportFormat::Json;
    let observer = (!command.quiet && !json).then(printer);
    let options = Options {
        dry_run: command.dry_run,
        delete_untagged: command.delete_untagged,
        grace,
        max_delete_percent: config.gc.max_delete_percent(),
        confirmed: command.yes,
        upload_age: uploads.enabled.then_some(uploads.age),
        observer: observer.as_ref().map(|(observer, _)| observer.clone()),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = match runtime.block_on(app::collect(&config, drivers, &options)) {
        // Said in the words of this command.
        Err(AppError::Collect(gc::Error::TooMuch(too_much))) => return Err(refusal(too_much).into()),
        report => report.map_err(|error| check::beside(&source, error.into()))?,
    };
    if let Some((_, output)) = observer {
        output.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
    }
    if let Some(too_much) = report.too_much {
        warn(format!("without --dry-run {}", refusal(too_much)));
    }
    if json {
        say(serde_json::to_string_pretty(&report)?);
    } else if !command.quiet {
        print_summary(&report);
        print_what_is_young(&report, command.grace.is_none());
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

fn refusal(TooMuch { bytes, percent }: TooMuch) -> String {
    format!(
        "nothing is deleted, because {} of blobs would go, more than {percent} % of all: \
         see with --dry-run whether that is right, and give `--yes` if it is (gc.maxdeletepercent sets the share)",
        HumanSize(bytes)
    )
}

/// A read-only registry is not written to, so nothing in it is too young. Otherwise a push may be going on at this moment.
fn default_grace(config: &Config) -> Duration {
    if config.storage.maintenance.readonly.enabled {
        return Duration::ZERO;
    }
    config.gc.grace()
}

fn print_what_is_young(report: &Report, is_default: bool) {
    if report.grace_secs == 0 || report.young.count == 0 {
        return;
    }
    let grace = GoDuration(Duration::from_secs(report.grace_secs));
    let (young, size) = (count(report.young.count, "blob"), HumanSize(report.young.bytes));
    let remedy = match is_default {
        true => {
            " now: give `--grace 0` if no registry serves this store, or set storage.maintenance.readonly"
        }
        false => " sooner: give a shorter `--grace`, or 0 if no registry serves this store",
    };
    warn(format!(
        "{young} ({size}) that nothing refers to stay: nothing younger than {grace} is collected, since the registry may be in \
         use. A collection in {grace} takes them, if nothing refers to them then. To take them{remedy}"
    ));
}

type Output = Arc<Mutex<BufWriter<io::Stdout>>>;

/// Prints what is found as it is found, line by line as Distribution does.
fn printer() -> (Observer, Output) {
    let output: Output = Arc::new(Mutex::new(BufWriter::new(io::stdout())));
    let lines = output.clone();
    let observer = Observer::new(move |event: Event<'_>| {
        // A reader that has gone away does not stop the collection.
        let _ = writeln!(lines.lock().unwrap_or_else(PoisonError::into_inner), "{event}");
    });
    (observer, output)
}

fn print_summary(report: &Report) {
    let verb = if report.dry_run { "would be freed" } else { "freed" };
    let amounts = [
        count(report.blobs.count, "blob"),
        count(report.manifests, "manifest"),
        count(report.layer_links, "layer link"),
        count(report.uploads.count, "upload"),
        count(report.temporary.count, "temporary file"),
        count(report.empty_repositories, "empty repository"),
    ];
    say(format!(
        "\n{} {verb}: {}, in {:.1} s",
        HumanSize(report.bytes()),
        amounts.join(", "),
        report.duration_secs
    ));
    if report.unseen > 0 {
        warn(format!(
            "{} of the store cannot be seen, or lost all repositories: no blob, manifest or repository was deleted",
            count(report.unseen, "place")
        ));
    } else if !report.is_complete() {
        warn(format!(
            "{} could not be read and stayed, with all that may be referred to there",
            count(report.unreadable.len() as u64, "file")
        ));
    }
    if let Some(first) = report.future_paths.first() {
        warn(format!(
            "{} dated in the future, the first is {first}: too young to be collected until then; correct the dates (`touch`), or \
             collect with `--grace 0` while no registry serves the store",
            count(report.future, "file")
        ));
    }
}
