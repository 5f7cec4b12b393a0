//! `registry verify`: whether the store is whole, and which images need what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use sampan_config::{ByteSize, GoDuration};
use sampan_driver::{BoxError, HumanSize};
use sampan_engine::oci::Reference;
use sampan_engine::verify::{
    DataReport, EndReason, HealRequest, HealSource, Observer, Options, Problem, Report, Start, acknowledge,
    verify,
};
use sampan_engine::{Body, Registry, Selection};
use sampan_transfer::{Progress, Selector, Source};
use tokio_util::sync::CancellationToken;

use super::args::ReportFormat;
use super::config_argument::ConfigArgument;
use super::endpoint::Endpoint;
use super::interruption::until_interrupted;
use super::login::LoginOptions;
use super::progress::{ProgressMode, TransferSize, show};
use super::terminal::{count, printable, say, warn};
use super::{check, misunderstood, selected, store};
use crate::drivers::Drivers;
use sampan_driver::with_causes;

/// The exit code of a verification that found something.
const DAMAGED: u8 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct VerifyOptions {
    #[command(flatten)]
    config: ConfigArgument,

    /// Read tags, links and manifests, and compare the lengths of blobs; hash no layer
    #[arg(long, conflicts_with_all = ["rate", "jobs", "since_start"])]
    quick: bool,

    /// Only these repositories and what they link: `team/*` is every one directly below `team`, `team/**` at any
    /// depth; more than once for several
    #[arg(long, value_name = "GLOB")]
    repository: Vec<Selector>,

    /// Repair what can be repaired: write missing links, replace damaged content by that of `--heal-from`, and move
    /// the rest of it aside, so that a push brings it again
    #[arg(long)]
    repair: bool,

    /// A registry, or the store of a configuration (.yml), that may have what is damaged or missing here
    #[arg(long, value_name = "URL|CONFIG", requires = "repair")]
    heal_from: Option<Endpoint>,

    #[command(flatten)]
    login: LoginOptions,

    /// The most that is read in a second, such as `50MiB`
    #[arg(long, value_name = "SIZE")]
    rate: Option<ByteSize>,

    /// How many threads read and hash; else one for each processor
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Stop hashing after this time, such as `2h`; the next run continues there
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<GoDuration>,

    /// Begin at the first blob, and not where the last run stopped
    #[arg(long)]
    since_start: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// How to show progress, on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,
}

pub(super) fn run(drivers: &Drivers, options: VerifyOptions) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (selection, matched) = selected::noted(&options.repository, "name repositories")?;
    if options.rate.is_some_and(|rate| rate.0 == 0) {
        return Err(misunderstood("--rate 0 would never end".to_owned()).into());
    }
    if !matches!(options.heal_from, Some(Endpoint::Registry(_))) {
        options.login.refuse_without("--heal-from with a registry")?;
    }
    let runtime = super::runtime::start()?;
    let Verified { report, registry, engine_options } =
        runtime.block_on(verified(drivers, &options, selection))?;
    let is_nothing = report.structure.is_some_and(|structure| structure.repositories == 0);
    if is_nothing && report.ending == EndReason::Finished && !options.repository.is_empty() {
        return Err(selected::none(&options.repository).into());
    }
    match options.format {
        ReportFormat::Json => {
            say(serde_json::to_string_pretty(&report)?);
            warn_of_failure(&report);
        }
        ReportFormat::Text => print(&report, options.repair),
    }
    if let Err(error) = runtime.block_on(acknowledge(&registry, &engine_options, &report)) {
        warn(format!("the next run reports the same again: {}", with_causes(&error)));
    }
    if report.error.is_some() && report.count() == 0 {
        return Ok(ExitCode::FAILURE);
    }
    let is_whole = matched.warn_of_others().is_empty() && report.is_whole();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

struct Verified {
    report: Report,
    registry: Registry,
    engine_options: Options,
}

async fn verified(
    drivers: &Drivers,
    args: &VerifyOptions,
    selection: Selection,
) -> Result<Verified, Box<dyn std::error::Error>> {
    let loaded = check::find(drivers, args.config.path())?;
    store::refuse_in_memory(&loaded, "no other process can verify it; set `verify.enabled`")?;
    let registry = match args.repair {
        true => store::open_to_change(drivers, &loaded).await?,
        false => store::open_to_read(drivers, &loaded).await?,
    };
    if registry.check_writable().is_err() && !loaded.config.storage.maintenance.readonly.enabled {
        warn(
            "the store cannot be written to, so its progress is not kept: the next run begins at the first blob",
        );
    }
    let heal_from: Option<Arc<dyn HealSource>> = match &args.heal_from {
        Some(endpoint) => {
            let (source, host) = endpoint.source(drivers, &args.login, &[]).await?;
            let name = host.unwrap_or_else(|| "the other store".to_owned());
            Some(Arc::new(HealingSource { source, name, failures: AtomicUsize::new(0) }))
        }
        None => None,
    };
    let stop = CancellationToken::new();
    let progress = Arc::new(Progress::default());
    let done = Arc::clone(&progress);
    let observer = Observer::new(move |size_bytes| {
        done.bytes.fetch_add(size_bytes, Ordering::Relaxed);
    });
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        data: match (args.quick, args.since_start) {
            (true, _) => None,
            (false, true) => Some(Start::Beginning),
            (false, false) => Some(Start::Continue),
        },
        selection,
        repair: args.repair,
        source: heal_from,
        threads: args.jobs.map_or(processors, usize::from),
        rate: args.rate.map(|rate| rate.0),
        max_duration: args.max_duration.map(|limit| limit.0),
        grace: loaded.config.gc.grace_period(),
        observer: Some(observer),
        stop: stop.clone(),
        ..Options::default()
    };
    let mode = if args.quick { ProgressMode::None } else { args.progress };
    let shown = show(mode, progress, TransferSize::UNKNOWN);
    let report = {
        let work = verify(&registry, &options);
        tokio::pin!(work);
        match until_interrupted(&mut work).await {
            Ok(report) => report?,
            Err(_) => {
                stop.cancel();
                work.await?
            }
        }
    };
    drop(shown);
    Ok(Verified { report, registry, engine_options: options })
}

/// Prints a report for people; without `repair` it says how.
pub(super) fn print(report: &Report, repair: bool) {
    for problem in &report.problems {
        print_problem(problem);
    }
    if report.more_problems > 0 {
        say(format!("and {} more", count(report.more_problems, "problem")));
    }
    if let Some(structure) = &report.structure {
        say(format!(
            "read {}, {}, {} and {}",
            count(structure.repositories, "repository"),
            count(structure.tags, "tag"),
            count(structure.manifests, "manifest"),
            count(structure.layer_links, "blob link"),
        ));
    }
    if let Some(data) = &report.data {
        say(hashed(data));
    }
    match report.ending {
        EndReason::Finished => {}
        EndReason::Failed => warn_of_failure(report),
        EndReason::Stopped => warn("stopped before the end; the next run continues there"),
        EndReason::TooMuch => warn(
            "so much is damaged or unreadable that the disk or the memory must be defective: look after them first; nothing was \
             moved",
        ),
    }
    match report.count() {
        0 if report.ending == EndReason::Finished => say("everything is whole"),
        0 if report.ending == EndReason::Failed => {}
        0 => say("nothing is wrong so far"),
        found => {
            let (repaired, moved) = (report.repaired(), report.moved());
            say(format!("{}: {repaired} repaired, {moved} moved aside", count(found, "problem")));
            if !repair {
                warn("nothing was changed; `--repair` repairs what can be repaired");
            }
        }
    }
}

fn warn_of_failure(report: &Report) {
    if let Some(error) = &report.error {
        warn(format!("cannot verify the store: {error}"));
    }
}

fn print_problem(problem: &Problem) {
    say(printable(&format!("{} {}", problem.path, problem.kind)));
    if !matches!(problem.outcome, sampan_engine::verify::RepairOutcome::Reported) {
        say(printable(&format!("  {}", problem.outcome)));
    }
    let mut tags: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for need in &problem.needed_by {
        match need.tags.is_empty() {
            true => say(printable(&format!("  needed by {}@{}", need.repository, need.manifest))),
            false => tags.entry(&need.repository).or_default().extend(need.tags.iter().map(String::as_str)),
        }
    }
    for (repository, tags) in tags {
        let tags: Vec<&str> = tags.into_iter().collect();
        say(printable(&format!("  needed by {repository}: {}", tags.join(", "))));
    }
}

fn hashed(data: &DataReport) -> String {
    let mut text =
        format!("hashed {} of {} ({})", data.blobs, count(data.of_blobs, "blob"), HumanSize(data.bytes));
    if data.blobs_before > 0 {
        text += &format!("; earlier runs had hashed {}", data.blobs_before);
    }
    text
}

/// A registry or store that may have good copies of damaged content.
#[derive(Debug)]
struct HealingSource {
    source: Arc<dyn Source>,
    name: String,
    /// The number of consecutive failures to ask it.
    failures: AtomicUsize,
}

/// A place that could not be asked so often in a row is not asked again in this run: each attempt waits for it.
const MAX_FAILURES: usize = 3;

#[async_trait]
impl HealSource for HealingSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn open(&self, content: &HealRequest<'_>) -> Result<Option<Body>, BoxError> {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures >= MAX_FAILURES {
            return Err(
                format!("it failed {failures} times in a row, and is not asked again in this run").into()
            );
        }
        let found = self.find(content).await;
        match &found {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(_) => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
        }
        found
    }
}

impl HealingSource {
    async fn find(&self, content: &HealRequest<'_>) -> Result<Option<Body>, BoxError> {
        for name in content.repositories {
            let found: Option<Body> = if content.is_manifest {
                let reference = Reference::Digest(content.digest.clone());
                let manifest = self.source.manifest(name, &reference).await?;
                manifest.map(|manifest| stream::iter([Ok::<Bytes, BoxError>(manifest.bytes)]).boxed())
            } else {
                match self.source.blob_size(name, content.digest).await? {
                    Some(_) => {
                        let blob = self.source.blob(name, content.digest).await?;
                        Some(blob.map_err(BoxError::from).boxed())
                    }
                    None => None,
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
