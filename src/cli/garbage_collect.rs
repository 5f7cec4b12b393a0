//! `registry garbage-collect`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_engine::gc::{Event, Observer, Options, Report};

use super::args::{CollectOptions, ReportFormat};
use super::terminal::{say, warn};
use crate::app;
use crate::config::{Config, Environment, GoDuration, Source};
use crate::drivers::Drivers;

/// The exit code of a collection that could not read everything, and kept what it could not judge.
const INCOMPLETE: u8 = 3;

pub(super) fn run(
    drivers: &Drivers,
    command: CollectOptions,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let environment = Environment::of_process();
    let config = Config::load(Source::find(command.config, &environment), &environment)?.config;
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
        upload_age: uploads.enabled.then_some(uploads.age),
        observer: observer.as_ref().map(|(observer, _)| observer.clone()),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(app::collect(&config, drivers, &options))?;
    if let Some((_, output)) = observer {
        output.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
    }
    if json {
        say(serde_json::to_string_pretty(&report)?);
    } else if !command.quiet {
        print_summary(&report);
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

/// A read-only registry is not written to, so nothing in it is too young. Otherwise a push may be going on at this moment.
fn default_grace(config: &Config) -> Duration {
    if config.storage.maintenance.readonly.enabled {
        return Duration::ZERO;
    }
    let grace = config.storage.gc.grace();
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
    if !report.is_complete() {
        warn(format!(
            "{} files could not be read; they and all they may refer to were kept",
            report.unreadable.len()
        ));
    }
}
