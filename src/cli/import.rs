//! `registry import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use sampan_bundle::Reader;
use sampan_client::RegistryAddress;
use sampan_driver::HumanSize;
use sampan_transfer::{ImportOptions, ImportReport, Progress, Rename, Renames, TagPolicy, import};

use super::args::ReportFormat;
use super::endpoint::Endpoint;
use super::export::selectors;
use super::login::LoginOptions;
use super::misunderstood;
use super::progress::{ProgressMode, Whole, show};
use super::terminal::{count, printable, say, warn};
use super::transfer::{
    DAMAGED, Failed, INCOMPLETE, async_file, until_interrupted, verify_signature, write_lines,
};
use crate::drivers::Drivers;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The bundle: its file, its parts (or its name without .001), or - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The configuration whose store is written, whether or not a registry runs on it; else the one that
    /// `serve` would use
    #[arg(short, long, value_name = "FILE", conflicts_with = "to")]
    config: Option<PathBuf>,

    /// The registry to write to by its API instead, such as https://registry.example:5000
    #[arg(long, value_name = "URL")]
    to: Option<RegistryAddress>,

    #[command(flatten)]
    login: LoginOptions,

    /// Only these images of the bundle, as for `registry export`
    #[arg(long, value_name = "SELECTOR")]
    only: Vec<String>,

    /// Rename the repository FROM and those below it; `=TO` puts all below TO
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<Rename>,

    /// Refuse a bundle that is not signed with the private key of this public key (PEM)
    #[arg(long, value_name = "KEY")]
    verify_key: Option<PathBuf>,

    /// What happens to a tag that is there with another image
    #[arg(long, value_enum, default_value_t = TagChoice::Move)]
    tags: TagChoice,

    /// Write down what the registry has afterwards, for `registry export --have` on the near side
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    receipt: Option<PathBuf>,

    /// Pass over images that cannot be imported, and exit with 3, or 4 if the bundle is damaged
    #[arg(long)]
    keep_going: bool,

    /// How many blobs are stored at a time, from a file
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    jobs: usize,

    /// Only check the bundle and the registry, and show which tags would move
    #[arg(long)]
    dry_run: bool,

    /// How to show progress, on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,

    /// The format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// Print only errors
    #[arg(short, long)]
    quiet: bool,
}

/// What happens to a tag that is there with another image.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum TagChoice {
    /// It moves, as by a push
    Move,
    /// It stays
    Keep,
    /// Nothing is imported
    Fail,
}

impl From<TagChoice> for TagPolicy {
    fn from(choice: TagChoice) -> Self {
        match choice {
            TagChoice::Move => Self::Move,
            TagChoice::Keep => Self::Keep,
            TagChoice::Fail => Self::Fail,
        }
    }
}

pub(super) fn run(drivers: &Drivers, args: ImportArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_import(drivers, args));
    // A read of standard input cannot be interrupted.
    runtime.shutdown_background();
    result
}

async fn run_import(drivers: &Drivers, args: ImportArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let is_pipe = args.files == [Path::new("-")];
    if is_pipe && !args.only.is_empty() {
        return Err(misunderstood("--only needs a file, since a pipe does not go back".to_owned()).into());
    }
    let only = selectors(&args.only)?;
    let reader = match is_pipe {
        true => Reader::from_pipe(async_file(std::io::stdin())?).await?,
        false => Reader::open(&args.files).await?,
    };
    verify_signature(&reader, args.verify_key.as_deref())?;
    if args.to.is_none() {
        args.login.refuse_without("--to")?;
    }
    let to = args.to.clone().map_or_else(|| Endpoint::Config(args.config.clone()), Endpoint::Registry);
    let (target, max_manifest_bytes) = to.target(drivers, &args.login).await?;
    let options = ImportOptions {
        only,
        renames: Renames::new(args.map.clone()),
        tags: args.tags.into(),
        keep_going: args.keep_going,
        jobs: args.jobs,
        dry_run: args.dry_run,
        max_manifest_bytes,
    };
    let progress = Arc::new(Progress::default());
    let mode = if args.quiet { ProgressMode::None } else { args.progress };
    let (totals, images) = (reader.plan().totals()?, reader.plan().images().count() as u64);
    let shown = show(mode, progress.clone(), Whole { bytes: totals.bytes, images: Some(images) });
    let work = import(&reader, &target, &options, &progress);
    let outcome = until_interrupted(work).await;
    drop(shown);
    let report = outcome.map_err(|Failed(problem)| {
        Failed(format!("{problem}\nWhat was imported stays; the same command again goes on from there."))
    })??;
    for failure in &report.failures {
        warn(printable(&format!("not imported: {}: {}", failure.image, failure.problem)));
    }
    if let Some(path) = &args.receipt {
        write_lines(path, &report.receipt)?;
    }
    if args.format == ReportFormat::Json {
        say(serde_json::to_string_pretty(&report)?);
    } else if !args.quiet {
        print(&report, args.dry_run, "imported");
    }
    Ok(match report.failures.iter().any(|failure| failure.is_damage) {
        true => ExitCode::from(DAMAGED),
        false if !report.failures.is_empty() => ExitCode::from(INCOMPLETE),
        false => ExitCode::SUCCESS,
    })
}

/// Prints a report; `verb` says what happened to the images.
pub(super) fn print(report: &ImportReport, is_dry: bool, verb: &str) {
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
