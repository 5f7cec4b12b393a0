//! `registry cache`: caches of other registries, from the command line.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sampan_cache::{CacheError, CompleteOptions, Completion, Lack};
use sampan_driver::HumanSize;
use sampan_engine::fill::Fills;
use sampan_engine::oci::{RepositoryName, Tag, descriptor};
use sampan_transfer::{Platform, Progress, Selector};
use serde_json::json;

use super::args::ReportFormat;
use super::config_argument::ConfigArgument;
use super::export_args::positive;
use super::interruption::until_interrupted;
use super::progress::{self, ProgressMode, TransferSize};
use super::report::ReportOptions;
use super::terminal::{count, say, warn};
use super::{check, misunderstood, selected, store};
use crate::app;
use crate::drivers::Drivers;

/// Manage caches of other registries
#[derive(Debug, clap::Subcommand)]
pub(super) enum CacheCommand {
    /// Fetch what cached images lack, such as before a site goes offline: an image that clients pulled in part stays so
    ///
    /// Exits with 3 if something is lacking still.
    Complete(CompleteArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CompleteArgs {
    #[command(flatten)]
    config: ConfigArgument,

    /// Only these repositories: `docker.io/library/*`, `quay.io/**`
    #[arg(long, value_name = "GLOB")]
    repository: Vec<Selector>,

    /// An image to fetch although it is not cached yet, by its name here: `docker.io/library/nginx:1.27`. Without
    /// `--repository`, only these are fetched
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,

    /// Only images for these platforms, such as `linux/amd64`
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// How many blobs are fetched at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = positive)]
    jobs: usize,

    /// Only show what is lacking
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    report: ReportOptions,
}

type Failure = Box<dyn std::error::Error>;

pub(super) fn run(drivers: &Drivers, command: CacheCommand) -> Result<ExitCode, Failure> {
    let CacheCommand::Complete(args) = command;
    let runtime = super::runtime::start()?;
    runtime.block_on(complete(drivers, args))
}

async fn complete(drivers: &Drivers, args: CompleteArgs) -> Result<ExitCode, Failure> {
    let (selection, matched) = selected::noted(&args.repository, "an image to fetch is `--image`")?;
    let images = args.image.iter().map(|text| image(text)).collect::<Result<Vec<_>, _>>()?;
    let loaded = check::find(drivers, args.config.path())?;
    store::refuse_in_memory(&loaded, "nothing can be fetched into it by another process")?;
    let registry = match args.dry_run {
        true => store::open_to_read(drivers, &loaded).await?,
        false => store::open_to_write(drivers, &loaded).await?,
    };
    let caches = app::caches(&loaded.config).await?;
    let caches = caches.ok_or_else(|| format!("{}: `proxy` names no registry to cache", loaded.source))?;
    let platforms = Arc::new(Platforms::new(&args.platform));
    let options = CompleteOptions {
        wants: Box::new({
            let platforms = platforms.clone();
            move |platform| platforms.has(platform)
        }),
        dry_run: args.dry_run,
        jobs: args.jobs,
    };
    if let Some((name, _)) = images.iter().find(|(name, _)| caches.of_stored(name).is_none()) {
        return Err(format!("{name} is below the prefix of no upstream").into());
    }
    let mut lacks = Vec::new();
    let mode = if args.dry_run { ProgressMode::None } else { args.report.progress() };
    let progress = Arc::new(Progress::default());
    let shown = progress::show(mode, progress.clone(), TransferSize::UNKNOWN);
    let mut tell = |lack: &Lack| match args.report.format {
        ReportFormat::Text if args.report.quiet => {
            if let Some(Err(_)) = &lack.fetched {
                warn(line(lack));
            }
        }
        ReportFormat::Text => shown.beside(|| say(line(lack))),
        ReportFormat::Json => lacks.push(as_json(lack)),
    };
    let mut completion = Completion::default();
    let work = async {
        if images.is_empty() || !args.repository.is_empty() {
            let selects = |name: &RepositoryName| caches.of_stored(name).is_some() && selection.has(name);
            completion = caches.complete(&registry, &options, selects, &mut tell).await?;
        }
        for (name, tag) in &images {
            caches.complete_tag(&registry, &options, name, tag, &mut completion, &mut tell).await?;
        }
        Ok::<_, CacheError>(())
    };
    let ended = tokio::select! {
        ended = until_interrupted(work) => ended,
        never = count_received(caches.fills(), &progress) => match never {},
    };
    drop(shown);
    // Parts of blobs would stay until uploads are purged.
    caches.fills().finish().await;
    ended.map_err(|stopped| {
        format!(
            "{stopped}: whole blobs and manifests that were fetched stay; run the command again for the rest"
        )
    })??;
    match args.report.format {
        ReportFormat::Text if args.report.quiet => {}
        ReportFormat::Text => say(summary(&completion, args.dry_run)),
        ReportFormat::Json => say(serde_json::to_string_pretty(&json!({
            "tags": completion.tags,
            "missing": completion.missing,
            "missing_bytes": completion.missing_bytes,
            "left": completion.left,
            "content": lacks,
        }))?),
    }
    let (others, missing) = (matched.warn_of_others(), platforms.warn_of_missing());
    Ok(if others.is_empty() && missing == 0 && completion.left == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

/// Counts what has come from upstreams, again and again.
async fn count_received(fills: &Fills, progress: &Progress) -> Infallible {
    loop {
        progress.bytes.store(fills.statistics().received_bytes, Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The platforms that are wanted, and which of them an index has named: a mistyped one would leave images out and say nothing.
struct Platforms {
    wanted: Vec<(Platform, AtomicBool)>,
    /// Whether an index named a platform at all.
    has_any: AtomicBool,
}

impl Platforms {
    fn new(wanted: &[Platform]) -> Self {
        let wanted = wanted.iter().map(|platform| (platform.clone(), false.into())).collect();
        Self { wanted, has_any: false.into() }
    }

    fn has(&self, platform: &descriptor::Platform) -> bool {
        self.has_any.store(true, Relaxed);
        let matching = self.wanted.iter().filter(|(wanted, _)| wanted.has(platform));
        let count = matching.map(|(_, is_found)| is_found.store(true, Relaxed)).count();
        self.wanted.is_empty() || count > 0
    }

    /// Warns of the platforms that no index has named, and returns their number.
    fn warn_of_missing(&self) -> usize {
        let missing = self.wanted.iter().filter(|(_, is_found)| !is_found.load(Relaxed));
        let missing = missing.filter(|_| self.has_any.load(Relaxed));
        missing.map(|(it, _)| warn(format!("no index of these images names `--platform {it}`"))).count()
    }
}

/// An image by its name here and its tag.
fn image(text: &str) -> Result<(RepositoryName, Tag), clap::Error> {
    let wrong = |problem: String| misunderstood(format!("--image {text}: {problem}"));
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let repository = name.parse::<RepositoryName>().map_err(|error| wrong(error.to_string()))?;
    let tag = tag.parse::<Tag>().map_err(|error| wrong(error.to_string()))?;
    Ok((repository, tag))
}

fn line(lack: &Lack) -> String {
    let size = lack.size_bytes.map(|size| format!(" ({})", HumanSize(size))).unwrap_or_default();
    let (outcome, cause) = match &lack.fetched {
        None => ("lacks", String::new()),
        Some(Ok(())) => ("fetched", String::new()),
        Some(Err(error)) => ("lacks", format!(": {error}")),
    };
    let what = lack.digest.as_ref().map_or("its manifest".to_owned(), ToString::to_string);
    format!("{}:{} {outcome} {what}{size}{cause}", lack.repository, lack.tag)
}

fn summary(completion: &Completion, is_dry: bool) -> String {
    let Completion { tags, missing, missing_bytes, left } = *completion;
    let tags = count(tags, "tag");
    match (missing, is_dry) {
        (0, _) => format!("{tags}: nothing is lacking"),
        (_, true) => {
            format!("{tags}: {missing} manifests and blobs are lacking, {}", HumanSize(missing_bytes))
        }
        _ => format!("{tags}: {} fetched, {left} lacking", missing - left),
    }
}

fn as_json(lack: &Lack) -> serde_json::Value {
    json!({
        "repository": lack.repository.as_str(),
        "tag": lack.tag.as_str(),
        "digest": lack.digest.as_ref().map(ToString::to_string),
        "size_bytes": lack.size_bytes,
        "fetched": matches!(lack.fetched, Some(Ok(()))),
        "error": lack.fetched.as_ref().and_then(|fetched| fetched.as_ref().err()).map(ToString::to_string),
    })
}
