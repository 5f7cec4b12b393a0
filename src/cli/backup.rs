//! `registry backup`: snapshots of a store in a second one.

use std::error::Error;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use clap::{Args, Subcommand};
use sampan_config::{GoDuration, Loaded};
use sampan_engine::backup::{self, Keep, RestoreOptions, RunOptions};
use sampan_engine::migrate::Progress;
use sampan_engine::{gc, verify};
use sampan_transfer::Selector;
use tokio_util::sync::CancellationToken;

use super::args::ReportFormat;
use super::backup_report as report;
use super::config_argument::{BackupArgument, ConfigArgument};
use super::interruption::until_interrupted;
use super::migrate::{parse_rate, with_progress};
use super::since::Since;
use super::transfer::INCOMPLETE;
use super::{check, misunderstood, selected, store};
use crate::app::{self, BackupStores};
use crate::drivers::Drivers;

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Make a snapshot of a store in the store of the backups; registries may serve it, and clients push, meanwhile
    ///
    /// Only what the backups lack is copied. The first run makes the store of the backups.
    Run(RunArgs),
    /// List the snapshots, the oldest first
    List(ListArgs),
    /// Bring a store, or repositories of it, back to a snapshot: nothing is deleted, and registries may serve it meanwhile
    Restore(RestoreArgs),
    /// Delete snapshots, and what only they had; the last of each named period stays
    Prune(PruneArgs),
    /// Check whether every snapshot can be restored: exit code 3 if not
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration of the store of the backups
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Only these repositories: `team/*` is every one directly below `team`, `team/**` at any depth
    #[arg(long, value_name = "GLOB")]
    repository: Vec<Selector>,
    /// The store is the one whose backups these are, at another place
    #[arg(long)]
    source_moved: bool,
    /// What the store shows no more was deleted on purpose
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    backup: BackupArgument,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The configuration of the store of the backups
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The configuration of the store to bring back
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The snapshot: the last one that is no younger than this time, such as 2026-01-31T12:00:00Z; or `latest`
    #[arg(long, value_name = "TIME")]
    at: SnapshotTime,
    /// Only these repositories: `team/*` is every one directly below `team`, `team/**` at any depth
    #[arg(long, value_name = "GLOB")]
    repository: Vec<Selector>,
    /// Point tags back that point at other images now
    #[arg(long)]
    replace: bool,
    /// Only show what would be copied, and which tags would be pointed back
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Keep the last NUMBER snapshots
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    last: usize,
    /// Keep the last snapshot of each of NUMBER hours that have any, and so on; all in UTC
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    hourly: usize,
    /// … of NUMBER days
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    daily: usize,
    /// … of NUMBER weeks, which begin on Monday
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    weekly: usize,
    /// … of NUMBER months
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    monthly: usize,
    /// … of NUMBER years
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    yearly: usize,
    /// Only show which snapshots would go
    #[arg(long)]
    dry_run: bool,
    /// Keep content younger than this, such as 30m or 24h; 0 only if no backup is made meanwhile. Default: the gc.grace of the
    /// configuration, which is 24h by default
    #[arg(long, value_name = "DURATION")]
    grace: Option<GoDuration>,
    /// Delete even if repositories have vanished from the store since the last prune: check with --dry-run first
    #[arg(short, long)]
    yes: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    backup: BackupArgument,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Read the snapshots, manifests and links, and hash no layers
    #[arg(long)]
    quick: bool,
    /// How many bytes are hashed a second at most, such as 50MiB/s
    #[arg(long, value_name = "BYTES/s", value_parser = parse_rate)]
    rate: Option<NonZeroU64>,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    backup: BackupArgument,
}

#[derive(Debug, Args)]
struct CommonOptions {
    /// How many bytes are copied a second at most, such as 50MiB/s
    #[arg(long, value_name = "BYTES/s", value_parser = parse_rate)]
    rate: Option<NonZeroU64>,
    /// Print only results
    #[arg(short, long)]
    quiet: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// A snapshot on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SnapshotTime {
    Latest,
    Time(SystemTime),
}

impl FromStr for SnapshotTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        // The begin of a day, which `Since` takes too, would be before all its snapshots.
        match text.parse::<Since>() {
            Ok(Since(time)) if text.contains('T') => Ok(Self::Time(time)),
            _ => Err("it must be a time such as 2026-01-31T12:00:00Z, as `registry backup list` shows it, or `latest`"
                .to_owned()),
        }
    }
}

pub(super) fn run(drivers: &Drivers, command: BackupCommand) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = super::runtime::start()?;
    let (stop, is_list) = (CancellationToken::new(), matches!(command, BackupCommand::List(_)));
    runtime.block_on(async {
        let work = async {
            match command {
                BackupCommand::Run(args) => save(drivers, args, &stop).await,
                BackupCommand::List(args) => list(drivers, args).await,
                BackupCommand::Restore(args) => restore(drivers, args, &stop).await,
                BackupCommand::Prune(args) => prune(drivers, args, &stop).await,
                BackupCommand::Verify(args) => verify_all(drivers, args, &stop).await,
            }
        };
        let mut work = std::pin::pin!(work);
        match until_interrupted(&mut work).await {
            Ok(done) => done,
            Err(interrupted) if is_list => Err(interrupted.into()),
            Err(interrupted) => {
                // The lock of the collector is given back, what was half copied goes, and threads that read end.
                stop.cancel();
                work.await?;
                Err(interrupted.into())
            }
        }
    })
}

async fn save(
    drivers: &Drivers,
    args: RunArgs,
    stop: &CancellationToken,
) -> Result<ExitCode, Box<dyn Error>> {
    let (selection, matched) = selected::noted(&args.repository, "only repositories can be saved")?;
    let source = find(drivers, args.config.path())?;
    let target = find(drivers, Some(args.to))?;
    let BackupStores { source, from, target, to } =
        app::backup_stores(&source.config, &target.config, drivers, false).await?;
    let progress = Arc::new(Progress::default());
    let options = RunOptions {
        selection,
        rate: args.common.rate,
        source_moved: args.source_moved,
        confirmed: args.yes,
        progress: progress.clone(),
        stop: stop.clone(),
    };
    let begun = Instant::now();
    let run = async {
        match backup::run(&source, &target, &from, &options).await {
            Err(backup::Error::NothingSelected) => Err(selected::none(&args.repository).into()),
            run => run.map_err(Box::<dyn Error>::from),
        }
    };
    let run = args.common.watch(run, &progress).await?;
    let unmatched = matched.warn_of_others();
    report::print_run(&run, &to, &unmatched, begun.elapsed(), args.common.format);
    Ok(complete(run.is_whole() && unmatched.is_empty()))
}

async fn list(drivers: &Drivers, args: ListArgs) -> Result<ExitCode, Box<dyn Error>> {
    let registry = store::open_to_read(drivers, &find(drivers, args.backup.path())?).await?;
    let mut found = Vec::new();
    let mut is_whole = true;
    for id in backup::list(&registry).await? {
        let summary = match backup::summary(&registry, id).await {
            Ok(summary) => Ok(summary),
            // A prune has deleted it meanwhile.
            Err(backup::Error::NoSnapshot { .. }) => continue,
            Err(backup::Error::Damaged { reason, .. }) => {
                is_whole = false;
                Err(reason)
            }
            Err(error) => return Err(error.into()),
        };
        found.push((id, summary));
    }
    report::print_list(&found, args.format);
    Ok(complete(is_whole))
}

async fn restore(
    drivers: &Drivers,
    args: RestoreArgs,
    stop: &CancellationToken,
) -> Result<ExitCode, Box<dyn Error>> {
    let (selection, matched) = selected::noted(&args.repository, "only repositories can be restored")?;
    let (from, to) = (find(drivers, Some(args.from))?, find(drivers, Some(args.to))?);
    let BackupStores { source, target, .. } =
        app::backup_stores(&from.config, &to.config, drivers, args.dry_run).await?;
    let progress = Arc::new(Progress::default());
    let options = RestoreOptions {
        selection,
        replace: args.replace,
        dry_run: args.dry_run,
        rate: args.common.rate,
        grace: to.config.gc.grace_period(),
        progress: progress.clone(),
        stop: stop.clone(),
    };
    let begun = Instant::now();
    let restored = async {
        let time = match args.at {
            SnapshotTime::Latest => None,
            SnapshotTime::Time(time) => Some(time),
        };
        let choice = backup::at(&source, time, &options.selection).await?;
        report::warn_of_choice(&choice);
        let id = choice.id;
        match backup::restore(&source, &target, id, &options).await {
            Err(backup::Error::NothingSelected) => {
                Err(format!("{} in the snapshot of {id}", selected::none(&args.repository)).into())
            }
            restored => restored.map_err(Box::<dyn Error>::from),
        }
    };
    let restored = args.common.watch(restored, &progress).await?;
    let unmatched = matched.warn_of_others();
    report::print_restored(&restored, args.dry_run, &unmatched, begun.elapsed(), args.common.format);
    Ok(complete(restored.pass.is_whole() && restored.pass.dangling.count == 0 && unmatched.is_empty()))
}

async fn prune(
    drivers: &Drivers,
    args: PruneArgs,
    stop: &CancellationToken,
) -> Result<ExitCode, Box<dyn Error>> {
    let PruneArgs { last, hourly, daily, weekly, monthly, yearly, .. } = args;
    let keep = Keep { last, hourly, daily, weekly, monthly, yearly };
    if keep.is_nothing() {
        let message = "no snapshot would stay: pass at least one of --last, --hourly, --daily, --weekly, --monthly, --yearly";
        return Err(misunderstood(message.to_owned()).into());
    }
    let loaded = find(drivers, args.backup.path())?;
    let registry = match args.dry_run {
        true => store::open_to_read(drivers, &loaded).await?,
        false => store::open_to_change(drivers, &loaded).await?,
    };
    let options = gc::Options {
        dry_run: args.dry_run,
        grace: args.grace.map_or_else(|| loaded.config.gc.grace_period(), |grace| grace.0),
        // The snapshots say what may go.
        max_delete_percent: 100,
        confirmed: args.yes,
        stop: stop.clone(),
        ..gc::Options::default()
    };
    let pruned = backup::prune(&registry, &keep, options).await?;
    report::print_pruned(&pruned, args.dry_run, args.format);
    Ok(ExitCode::SUCCESS)
}

async fn verify_all(
    drivers: &Drivers,
    args: VerifyArgs,
    stop: &CancellationToken,
) -> Result<ExitCode, Box<dyn Error>> {
    let registry = store::open_to_read(drivers, &find(drivers, args.backup.path())?).await?;
    let options = verify::Options {
        data: (!args.quick).then_some(verify::Start::Beginning),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        rate: args.rate.map(NonZeroU64::get),
        stop: stop.clone(),
        ..verify::Options::default()
    };
    let check = backup::check(&registry, &options).await?;
    if stop.is_cancelled() {
        return Err("stopped before the end".into());
    }
    report::print_check(&check, args.format);
    Ok(complete(check.is_whole()))
}

impl CommonOptions {
    /// Waits for `work`, and shows its progress unless that is unwanted.
    async fn watch<T>(&self, work: impl Future<Output = T>, progress: &Progress) -> T {
        match self.quiet {
            true => work.await,
            false => with_progress(work, progress).await,
        }
    }
}

fn find(drivers: &Drivers, config: Option<PathBuf>) -> Result<Loaded, Box<dyn Error>> {
    let shown = config.as_deref().map(Path::display).map(|path| format!("{path}: ")).unwrap_or_default();
    let loaded = check::find(drivers, config)?;
    let refused = store::refuse_in_memory(&loaded, "no other process can save or restore it");
    refused.map_err(|error| format!("{shown}{error}"))?;
    Ok(loaded)
}

fn complete(is_whole: bool) -> ExitCode {
    if is_whole { ExitCode::SUCCESS } else { INCOMPLETE.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_snapshot_is_named_by_a_time_and_not_by_a_day() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for (text, expected) in [
            ("latest", Some(SnapshotTime::Latest)),
            ("1970-01-01T00:00:01Z", Some(SnapshotTime::Time(second))),
            ("1970-01-01T08:00:01+08:00", Some(SnapshotTime::Time(second))),
            ("1970-01-01", None),
            ("yesterday", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
