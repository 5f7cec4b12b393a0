//! `registry garbage-collect`.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_config::{Config, GoDuration, Loaded};
use sampan_driver::HumanSize;
use sampan_engine::gc::{self, Event, Evicted, Observer, Options, Report, TooMuch};

use super::args::{CollectOptions, ReportFormat};
use super::interruption::until_interrupted;
use super::terminal::{count, printed, say, warn};
use super::{check, store};
use crate::app::{self, AppError};
use crate::drivers::Drivers;

/// The exit code of a collection that kept content because it could not read everything.
const INCOMPLETE: u8 = 3;

pub(super) fn run(
    drivers: &Drivers,
    command: CollectOptions,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = check::find(drivers, command.config.path())?;
    store::refuse_in_memory(&loaded, "no other process can collect it; set `gc.enabled`")?;
    let Loaded { config, source, .. } = loaded;
    let grace = command.grace.map_or_else(|| default_grace(&config), |grace| grace.0);
    let uploads = &config.storage.maintenance.uploadpurging;
    let json = command.format == ReportFormat::Json;
    let observer = (!command.quiet && !json).then(printer);
    let options = Options {
        evict: app::eviction(&config),
        dry_run: command.dry_run,
        delete_untagged: command.delete_untagged,
        grace,
        max_delete_percent: config.gc.max_delete_percent(),
        confirmed: command.yes,
        // As `registry:3` is collected: pushes are off, and its owner asks for the untagged images to go.
        untagged_confirmed: command.delete_untagged && config.storage.maintenance.readonly.enabled,
        upload_age: uploads.enabled.then_some(uploads.age),
        observer: observer.as_ref().map(|(observer, _)| observer.clone()),
        ..Options::default()
    };
    let runtime = super::runtime::start()?;
    let collected = async {
        let work = app::collect(&config, drivers, &options);
        tokio::pin!(work);
        // The run ends where its lock can be released.
        let stopped = until_interrupted(&mut work).await;
        match stopped {
            Ok(collected) => Ok(collected),
            Err(interrupted) => {
                options.stop.cancel();
                _ = work.await;
                Err(interrupted)
            }
        }
    };
    let collected = runtime.block_on(collected).map_err(|interrupted| match options.dry_run {
        true => interrupted.to_string(),
        false => {
            format!("{interrupted}: the collection has ended before all garbage was deleted; run it again")
        }
    })?;
    let report = match collected {
        // With this command's remedy.
        Err(AppError::Collect(gc::Error::TooMuch(too_much))) => return Err(refusal(too_much).into()),
        report => report.map_err(|error| check::beside(&source, error.into()))?,
    };
    if let Some((_, output)) = observer {
        printed(output.lock().flush());
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
        "nothing is deleted, because {} of blobs would be removed, more than {percent} % of all: \
         check with --dry-run whether that is right, and pass `--yes` if it is (gc.maxdeletepercent sets the limit)",
        HumanSize(bytes)
    )
}

/// The default for `--grace`: 0 for a read-only registry, which receives no pushes; else the configured
/// period, because a push may be in progress.
fn default_grace(config: &Config) -> Duration {
    if config.storage.maintenance.readonly.enabled {
        return Duration::ZERO;
    }
    config.gc.grace_period()
}

fn print_what_is_young(report: &Report, is_default: bool) {
    if report.grace_secs == 0 || report.young.count == 0 {
        return;
    }
    let grace = GoDuration(Duration::from_secs(report.grace_secs));
    let (young, size) = (count(report.young.count, "blob"), HumanSize(report.young.bytes));
    let remedy = match is_default {
        true => {
            " now: pass `--grace 0` if no registry serves this store, or set storage.maintenance.readonly"
        }
        false => " sooner: pass a shorter `--grace`, or 0 if no registry serves this store",
    };
    warn(format!(
        "kept {young} ({size}) without references: nothing younger than {grace} is collected, because the registry may be in \
         use. A collection in {grace} removes them if they still have no references. To remove them{remedy}"
    ));
}

type Output = Arc<Mutex<BufWriter<io::Stdout>>>;

/// Prints findings as they come, line by line as Distribution does.
fn printer() -> (Observer, Output) {
    let output: Output = Arc::new(Mutex::new(BufWriter::new(io::stdout())));
    let lines = output.clone();
    let observer = Observer::new(move |event: Event<'_>| {
        // A closed or full output does not stop the collection.
        printed(writeln!(lines.lock(), "{event}"));
    });
    (observer, output)
}

fn print_evicted(report: &Report) {
    let Evicted { ttl, size, .. } = report.evicted;
    let verb = if report.dry_run { "would be evicted" } else { "evicted" };
    for (amount, reason) in
        [(ttl, "not used for as long as proxy.ttl"), (size, "used longest ago, and more than proxy.maxsize")]
    {
        if amount.count > 0 {
            let manifests = count(amount.count, "manifest");
            say(format!("{manifests} {verb} from caches ({}): {reason}", HumanSize(amount.bytes)));
        }
    }
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
    print_evicted(report);
    if report.unseen > 0 {
        warn(format!(
            "{} of the store cannot be read, or lost all repositories: no blob, manifest or repository was deleted",
            count(report.unseen, "place")
        ));
    } else if !report.is_complete() {
        warn(format!(
            "kept {}, with everything they may refer to",
            count(report.unreadable.len() as u64, "unreadable file")
        ));
    }
    if let Some(first) = report.future_paths.first() {
        warn(format!(
            "{} with modification times in the future, the first is {first}: not collected until then; correct the times (`touch`), or \
             collect with `--grace 0` while no registry serves the store",
            count(report.future, "file")
        ));
    }
}
