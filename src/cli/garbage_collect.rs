//! `registry garbage-collect`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_engine::gc::{self, Event, Observer, Options, Report, TooMuch};

use super::args::{CollectOptions, ReportFormat};
use super::check;
use super::terminal::{say, warn};
use crate::app::{self, AppError};
use crate::config::{Config, GoDuration};
use crate::drivers::Drivers;

/// The exit code of a collection that could not read everything, and kept what it could not judge.
const INCOMPLETE: u8 = 3;

pub(super) fn run(
    drivers: &Drivers,
    command: CollectOptions,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = check::load(drivers, command.config)?.config;
    let grace = match command.grace {
        Some(grace) => grace.0,
        None => default_grace(&config),
    };
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
        report => report?,
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
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

fn refusal(TooMuch { bytes, percent }: TooMuch) -> String {
    format!(
        "nothing is deleted, because {bytes} bytes of blobs would go, more than {percent} % of all: \
         see with --dry-run whether that is right, and give `--yes` if it is (gc.maxdeletepercent sets the share)"
    )
}

/// A read-only registry is not written to, so nothing in it is too young. Otherwise a push may be going on at this moment.
fn default_grace(config: &Config) -> Duration {
    if config.storage.maintenance.readonly.enabled {
        return Duration::ZERO;
    }
    let grace = config.gc.grace();
    warn(format!(
        "nothing younger than {} is collected, since the registry may be in use: \
         give `--grace 0` if no registry serves this store, or set storage.maintenance.readonly",
        GoDuration(grace)
    ));
    grace
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
    say(format!(
        "\n{} bytes {verb}: {} blobs, {} manifests, {} layer links, {} uploads, {} temporary files, {} empty repositories, in {:.1} s",
        report.bytes(),
        report.blobs.count,
        report.manifests,
        report.layer_links,
        report.uploads.count,
        report.temporary.count,
        report.empty_repositories,
        report.duration_secs
    ));
    if report.unseen > 0 {
        warn(format!(
            "{} places of the store cannot be seen, or have lost all their repositories: \
             no blob, manifest or repository was deleted",
            report.unseen
        ));
    } else if !report.is_complete() {
        warn(format!(
            "{} files could not be read; they and all they may refer to were kept",
            report.unreadable.len()
        ));
    }
    if let Some(first) = report.future_paths.first() {
        warn(format!(
            "{} files are dated in the future, the first is {first}: until then they are too young to be collected; \
             correct them (`touch`), or collect with `--grace 0` while no registry serves the store",
            report.future
        ));
    }
}
