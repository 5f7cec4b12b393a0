//! `registry migrate`: moves a store to another, of any kind.

use std::error::Error;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use sampan_config::Loaded;
use sampan_driver::{HumanSize, StorageDriver, parse_size, with_causes};
use sampan_engine::Selection;
use sampan_engine::migrate::{Begun, DifferenceKind, Finish, Migration, Options, Pass, Progress};
use sampan_transfer::Selector;
use serde_json::Value;

use super::args::ReportFormat;
use super::interruption::until_interrupted;
use super::selected::SelectorMatches;
use super::terminal::{count, say, warn};
use super::transfer::INCOMPLETE;
use super::{check, selected};
use super::{migrate_json as json_report, migrate_report as report};
use crate::app::{self, MigrationAccess, MigrationStores};
use crate::drivers::Drivers;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The configuration of the store that is copied; registries may serve it meanwhile
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    /// The configuration of the store that is filled; nothing may be pushed to it, and no garbage collected in it, until the
    /// migration is finished
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// Only show what would be copied
    #[arg(long, conflicts_with_all = ["watch", "finish"])]
    dry_run: bool,

    /// How many bytes are copied a second at most, such as 50MiB/s
    #[arg(long, value_name = "BYTES/s", value_parser = parse_rate)]
    rate: Option<NonZeroU64>,

    /// Only these repositories: `team/*` is every one directly below `team`, `team/**` at any depth
    #[arg(long, value_name = "GLOB")]
    repository: Vec<Selector>,

    /// Make passes until one ends within 5 seconds or copies at most 100 files: then the rest is a matter of seconds
    #[arg(long, conflicts_with = "finish")]
    watch: bool,

    /// Copy the rest, remove from the target what the source no longer has, and compare both. Needs a read-only source
    /// (storage.maintenance.readonly.enabled)
    #[arg(long)]
    finish: bool,

    /// Add to a target that holds other content: a tag of the same name is replaced, and nothing is removed
    #[arg(long)]
    merge: bool,

    /// What the source lacks was deleted there, however much it is; and what it has lost may stay in the target alone
    #[arg(long, requires = "finish")]
    yes: bool,

    /// The output format; with `--watch`, JSON is one document a line for each pass
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// Print only results
    #[arg(short, long)]
    quiet: bool,
}

/// A pass that takes no longer leaves little to copy.
const SHORT_PASS: Duration = Duration::from_secs(5);

/// A pass that copies no more files leaves little to copy.
const FEW_FILES: u64 = 100;

/// How often the progress of a pass is shown.
const INTERVAL: Duration = Duration::from_secs(10);

pub(super) fn run(drivers: &Drivers, args: MigrateArgs) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = super::runtime::start()?;
    runtime.block_on(async { until_interrupted(migrate(drivers, args)).await? })
}

async fn migrate(drivers: &Drivers, args: MigrateArgs) -> Result<ExitCode, Box<dyn Error>> {
    let (selection, matched) = selected::noted(&args.repository, "only repositories can be migrated")?;
    let stores = open(drivers, &args).await?;
    let progress = Arc::new(Progress::default());
    let MigrationStores { source, from, target, to, caches } = stores;
    let options = Options {
        selection: without_finished(selection, &target, &args).await?,
        part: args.repository.iter().map(ToString::to_string).collect(),
        rate: args.rate,
        dry_run: args.dry_run,
        merge: args.merge,
        confirmed: args.yes,
        caches,
        progress: progress.clone(),
    };
    let migration = Migration::begin(source, target, &from, options).await?;
    let work = async {
        match args.finish {
            true => finish(&migration, &args, &matched, &to).await,
            false => passes(&migration, &args, &matched).await,
        }
    };
    match args.quiet {
        true => work.await,
        false => with_progress(work, &progress).await,
    }
}

/// Leaves out the parts that are finished: what lies there is the target's own.
async fn without_finished(
    selection: Selection,
    target: &Arc<dyn StorageDriver>,
    args: &MigrateArgs,
) -> Result<Selection, Box<dyn Error>> {
    let begun = Begun::read(target).await?;
    let finished = begun.map_or_else(Vec::new, |begun| begun.finished);
    if finished.is_empty() || args.merge {
        return Ok(selection);
    }
    let selectors: Vec<Selector> =
        finished.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>()?;
    warn(format!("left out, since their migration is finished: {}", finished.join(", ")));
    Ok(selection.without(move |name| selectors.iter().any(|selector| selector.has_repository(name))))
}

async fn open(drivers: &Drivers, args: &MigrateArgs) -> Result<MigrationStores, Box<dyn Error>> {
    let load = |path: &Path| check::find(drivers, Some(path.to_owned()));
    let (Loaded { config: from, .. }, Loaded { config: to, .. }) = (load(&args.from)?, load(&args.to)?);
    for (path, config) in [(&args.from, &from), (&args.to, &to)] {
        if config.storage.driver.name() == "inmemory" {
            let path = path.display();
            return Err(format!(
                "{path}: the in-memory store belongs to the running registry alone, so this command cannot reach it"
            )
            .into());
        }
    }
    if args.finish && !from.storage.maintenance.readonly.enabled {
        let path = args.from.display();
        return Err(format!(
            "{path}: `--finish` needs a source to which nothing is pushed: set `storage.maintenance.readonly.enabled: true` \
             there, send SIGHUP to the registries that serve it, and run this again"
        )
        .into());
    }
    let access = if args.dry_run { MigrationAccess::Read } else { MigrationAccess::Fill };
    Ok(app::migration_stores(&from, &to, drivers, access).await?)
}

/// One pass, or with `--watch` as many as it takes.
async fn passes(
    migration: &Migration,
    args: &MigrateArgs,
    matched: &SelectorMatches,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut number = 0;
    loop {
        number += 1;
        let begun = Instant::now();
        let pass = migration.pass().await?;
        let took = begun.elapsed();
        let is_last = !args.watch || took <= SHORT_PASS || pass.copied.files() <= FEW_FILES;
        let unmatched = if is_last { matched.warn_of_others() } else { Vec::new() };
        match args.format {
            ReportFormat::Json => print_pass_as_json(&pass, number, took, &unmatched, args)?,
            ReportFormat::Text => print_pass(&pass, number, took, is_last, args),
        }
        if !is_last {
            continue;
        }
        return Ok(match pass.is_whole() && unmatched.is_empty() {
            true => ExitCode::SUCCESS,
            false => INCOMPLETE.into(),
        });
    }
}

fn print_pass(pass: &Pass, number: u64, took: Duration, is_last: bool, args: &MigrateArgs) {
    let verb = if args.dry_run { "would copy" } else { "copied" };
    let (amounts, secs) = (report::amounts(&pass.copied), took.as_secs_f64());
    say(format!("pass {number}: {verb} {amounts} in {secs:.1} s"));
    if !is_last {
        return;
    }
    report::print_findings(pass);
    if args.watch {
        say("the difference is small: make the source read-only, and run the same command with `--finish`");
    }
}

fn print_pass_as_json(
    pass: &Pass,
    number: u64,
    took: Duration,
    unmatched: &[String],
    args: &MigrateArgs,
) -> serde_json::Result<()> {
    let mut document = json_report::pass(pass);
    document["kind"] = Value::from(if args.dry_run { "dry_run" } else { "pass" });
    document["number"] = Value::from(number);
    document["unmatched"] = Value::from(unmatched);
    document["duration_secs"] = Value::from(took.as_secs_f64());
    say(if args.watch { document.to_string() } else { serde_json::to_string_pretty(&document)? });
    Ok(())
}

async fn finish(
    migration: &Migration,
    args: &MigrateArgs,
    matched: &SelectorMatches,
    to: &str,
) -> Result<ExitCode, Box<dyn Error>> {
    let begun = Instant::now();
    let finish = migration.finish().await?;
    if finish.comparison.source.repositories == 0 && !args.repository.is_empty() {
        return Err(selected::none(&args.repository).into());
    }
    let took = begun.elapsed();
    if finish.comparison.has(DifferenceKind::Vanished) {
        warn(
            "the source has no access tokens any more, so the target keeps its own: bring back what is missing there, or confirm \
             with `--yes` that they were deleted",
        );
    }
    let unmatched = matched.warn_of_others();
    // The findings are the way to an equal target, so they come before the source is marked.
    if args.format == ReportFormat::Text {
        print_finish(&finish, took);
    }
    let is_done = finish.comparison.is_equal() && finish.pass.is_whole();
    let is_moved = is_done && args.repository.is_empty();
    let mut unmarked = None;
    match (is_done, is_moved) {
        (true, true) => unmarked = migration.close(to).await?,
        (true, false) => migration.close_part(&matched.found()).await?,
        (false, _) => {}
    }
    if let Some(error) = &unmarked {
        warn(format!("the source cannot be marked as moved, so serve it no more: {}", with_causes(error)));
    }
    match args.format {
        ReportFormat::Json => {
            let mut document = json_report::pass(&finish.pass);
            document["kind"] = Value::from("finish");
            document["removed"] = json_report::amounts(&finish.removed);
            document["comparison"] = json_report::comparison(&finish.comparison);
            document["unmatched"] = Value::from(&*unmatched);
            document["is_moved"] = Value::from(is_moved);
            document["is_marked"] = Value::from(is_moved && unmarked.is_none());
            document["duration_secs"] = Value::from(took.as_secs_f64());
            say(serde_json::to_string_pretty(&document)?);
        }
        ReportFormat::Text => say(match (is_done, is_moved) {
            (false, _) if finish.comparison.has_lost() => format!(
                "the stores differ, and the target keeps what the source has lost: run `registry verify --repair --heal-from \
                 {} {}`, or push these images again, or accept the loss with `--yes`; then run this again",
                args.to.display(),
                args.from.display()
            ),
            (false, _) => {
                "the stores differ: repair or delete the listed content at the source, and run this again"
                    .to_owned()
            }
            (true, true) => {
                let but = if finish.comparison.kept.count > 0 { " but for what is kept" } else { "" };
                let marked = if unmarked.is_none() { "; the source is marked as moved" } else { "" };
                format!("the stores are equal{but}: serve {to} now{marked}")
            }
            (true, false) => "the repositories are equal in both stores; their migration is finished, and later ones leave them \
                 alone"
                .to_owned(),
        }),
    }
    Ok(if is_done && unmatched.is_empty() { ExitCode::SUCCESS } else { INCOMPLETE.into() })
}

fn print_finish(finish: &Finish, took: Duration) {
    let (copied, removed) = (report::amounts(&finish.pass.copied), report::amounts(&finish.removed));
    say(format!("copied {copied}, removed {removed} in {:.1} s", took.as_secs_f64()));
    report::print_findings(&finish.pass);
    report::print_comparison(&finish.comparison);
}

/// Shows the progress of `work` every ten seconds.
pub(super) async fn with_progress<T>(work: impl Future<Output = T>, progress: &Progress) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.tick().await;
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {
                let (files, bytes) = (progress.files(), progress.bytes());
                warn(format!("{} copied so far, {}", count(files, "file"), HumanSize(bytes)));
            }
        }
    }
}

pub(super) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text));
    let bytes = bytes.ok_or_else(|| "a rate is a number of bytes a second, such as 50MiB/s".to_owned())?;
    NonZeroU64::new(bytes).ok_or_else(|| "at a rate of 0 nothing is ever copied".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_a_second() {
        for (text, expected) in
            [("50MiB/s", Ok(50 << 20)), ("1000", Ok(1000)), ("0", Err("rate of 0")), ("fast", Err("50MiB/s"))]
        {
            match (parse_rate(text), expected) {
                (Ok(rate), Ok(expected)) => assert_eq!(rate.get(), expected, "{text}"),
                (Err(error), Err(reason)) => assert!(error.contains(reason), "{text}: {error}"),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
    }
}
