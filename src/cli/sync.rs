//! `registry sync`: the jobs that copy from other registries, once.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Args;
use sampan_cache::Caches;
use sampan_driver::HumanSize;
use sampan_engine::{JobRun, Registry};
use sampan_sync::{Change, Job, JobReport, RunOptions, Running};
use serde_json::{Value, json};

use super::args::ReportFormat;
use super::config_argument::ConfigArgument;
use super::export_args::positive;
use super::interruption::until_interrupted;
use super::progress::{self, ProgressMode, TransferSize};
use super::report::ReportOptions;
use super::terminal::{count, printable, say, warn};
use super::transfer::{Failed, INCOMPLETE};
use super::{check, misunderstood, store};
use crate::app;
use crate::drivers::Drivers;
use crate::maintenance::save_cache_uses;

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    config: ConfigArgument,

    /// Only this job
    #[arg(long, value_name = "NAME")]
    job: Vec<String>,

    /// How many blobs are copied at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = positive)]
    jobs: usize,

    /// Only show the tags that would be set: upstreams are asked for tags and digests, not for content
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    report: ReportOptions,
}

type Failure = Box<dyn std::error::Error>;

pub(super) fn run(drivers: &Drivers, args: SyncArgs) -> Result<ExitCode, Failure> {
    let runtime = super::runtime::start()?;
    runtime.block_on(sync(drivers, args))
}

async fn sync(drivers: &Drivers, args: SyncArgs) -> Result<ExitCode, Failure> {
    let loaded = check::find(drivers, args.config.path())?;
    let jobs = app::sync_jobs(&loaded.config)?;
    let jobs: Vec<Job> = jobs.into_iter().map(|(job, _)| job).collect();
    let jobs = chosen(jobs, &args.job)?;
    if jobs.is_empty() {
        return Err(format!("{}: `sync` has no job", loaded.source).into());
    }
    store::refuse_in_memory(&loaded, "nothing can be copied into it by another process")?;
    let registry = match args.dry_run {
        true if !app::has_store(&loaded.config, drivers) => app::no_store(&loaded.config),
        true => store::open_to_read(drivers, &loaded).await?,
        false => store::open_to_write(drivers, &loaded).await?,
    };
    let caches = app::caches(&loaded.config).await?;
    let caches =
        caches.ok_or_else(|| format!("{}: `proxy` names no registry to copy from", loaded.source))?;
    let mut reports = Vec::new();
    for job in &jobs {
        let (report, changes) = match one(job, &caches, &registry, &args).await {
            Ok(ran) => ran,
            Err(error) => {
                let reason = sampan_driver::with_causes(&*error);
                (JobReport { stopped: Some(reason), ..JobReport::default() }, Vec::new())
            }
        };
        let is_interrupted = report.stopped.as_deref() == Some(INTERRUPTED);
        if args.report.format == ReportFormat::Text {
            name_failures(&report);
            if !args.report.quiet {
                summarize(job, &report, args.dry_run);
            }
            name_stop(job, &report);
        }
        reports.push((job, report, changes));
        if is_interrupted {
            break;
        }
    }
    if !args.dry_run {
        save_cache_uses(&registry).await;
    }
    if args.report.format == ReportFormat::Json {
        let all: Vec<Value> = reports.iter().map(as_json).collect();
        say(serde_json::to_string_pretty(&all)?);
    }
    let is_whole = reports.len() == jobs.len() && reports.iter().all(|(_, report, _)| report.is_whole());
    Ok(if is_whole { ExitCode::SUCCESS } else { INCOMPLETE.into() })
}

/// Why a run has stopped, if a signal came.
const INTERRUPTED: &str = "interrupted; the next run continues";

fn chosen(jobs: Vec<Job>, names: &[String]) -> Result<Vec<Job>, Failure> {
    let known = jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known =
            if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(misunderstood(format!("--job {unknown}: `sync` has no such job; {known}")).into());
    }
    let is_chosen = |job: &Job| names.is_empty() || names.iter().any(|name| name == job.name.as_str());
    Ok(jobs.into_iter().filter(is_chosen).collect())
}

/// Runs a job, and returns its report and the tags that it set.
async fn one(
    job: &Job,
    caches: &Caches,
    registry: &Registry,
    args: &SyncArgs,
) -> Result<(JobReport, Vec<Value>), Failure> {
    let options = RunOptions {
        dry_run: args.dry_run,
        blobs_at_a_time: args.jobs,
        max_manifest_bytes: registry.limits().manifest_size_bytes,
    };
    let changes = Mutex::new(Vec::new());
    let running = Running::default();
    let mut begun = match args.dry_run {
        true => None,
        false => Some(begin(job, registry).await?),
    };
    let mode = if args.dry_run { ProgressMode::None } else { args.report.progress() };
    let shown = progress::show(mode, running.progress().clone(), TransferSize::UNKNOWN);
    let tell = |change: &Change| match args.report.format {
        ReportFormat::Text if args.report.quiet => {}
        ReportFormat::Text => shown.beside(|| say(printable(&line(change, args.dry_run)))),
        ReportFormat::Json => {
            if let Ok(mut changes) = changes.lock() {
                changes.push(change_as_json(change));
            }
        }
    };
    let is_over = async {
        match &mut begun {
            Some(begun) => begun.keep_alive().await,
            None => std::future::pending().await,
        }
    };
    {
        let mut work = pin!(sampan_sync::run(job, caches, registry, options, &running, &tell));
        let stopped = tokio::select! {
            ended = until_interrupted(&mut work) => ended.err().map(|_| INTERRUPTED),
            () = is_over => Some("another process runs it"),
        };
        if let Some(reason) = stopped {
            running.stop(reason.to_owned(), None);
            work.await;
        }
    }
    drop(shown);
    let report = running.report();
    if let Some(begun) = begun {
        begun.end(serde_json::to_value(&report)?).await?;
    }
    let changes = changes.lock().map(|mut changes| std::mem::take(&mut *changes)).unwrap_or_default();
    Ok((report, changes))
}

/// Begins a run, unless another process runs the job.
async fn begin(job: &Job, registry: &Registry) -> Result<JobRun, Failure> {
    let last = registry.last_run_of(&job.name).await?;
    let begun = registry.begin_run_of(&job.name, last.as_ref()).await?;
    let Some(begun) = begun else {
        let last = registry.last_run_of(&job.name).await?;
        let wait = last.and_then(|last| last.alive_for(registry.clock().now())).unwrap_or_default();
        return Err(Failed(format!(
            "job {} is run by another process, or one that ran it was killed: it can be run in {} s unless that gives a sign of life \
             before; `/debug/sync` of a running registry shows it",
            job.name,
            wait.as_secs() + 1
        ))
        .into());
    };
    Ok(begun)
}

fn line(change: &Change, is_dry: bool) -> String {
    let Change { repository, tag, to, from } = change;
    let what = if is_dry { "would be copied" } else { "copied" };
    match from {
        Some(from) => format!("{repository}:{tag} {what}: {to}, before {from}"),
        None => format!("{repository}:{tag} {what}: {to}"),
    }
}

fn name_failures(report: &JobReport) {
    for failure in &report.failures {
        warn(printable(&format!("{}: {}", failure.image, failure.problem)));
    }
    let more = report.failed - report.failures.len() as u64;
    if more > 0 {
        warn(format!("{more} more were not copied"));
    }
}

fn summarize(job: &Job, report: &JobReport, is_dry: bool) {
    let what = if is_dry { "would be copied" } else { "copied" };
    let mut text = format!(
        "job {}: {} {what}, {} here already",
        job.name,
        count(report.copied, "image"),
        report.unchanged
    );
    if !is_dry {
        text = format!("{text}, {} stored", HumanSize(report.bytes));
    }
    if report.removed_tags > 0 {
        text = format!("{text}, {} removed", count(report.removed_tags, "tag"));
    }
    if report.failed > 0 {
        text = format!("{text}, {} failed", report.failed);
    }
    say(text);
}

fn name_stop(job: &Job, report: &JobReport) {
    if let Some(reason) = &report.stopped {
        warn(printable(&format!("job {} stopped: {reason}", job.name)));
    }
}

fn change_as_json(change: &Change) -> Value {
    let Change { repository, tag, to, from } = change;
    json!({
        "repository": repository.as_str(),
        "tag": tag.as_str(),
        "digest": to.to_string(),
        "before": from.as_ref().map(ToString::to_string),
    })
}

fn as_json((job, report, changes): &(&Job, JobReport, Vec<Value>)) -> Value {
    json!({ "job": job.name.as_str(), "report": report, "tags": changes })
}
