//! `registry bench`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sampan_bench::{Credentials, Kind, Options, Target, TlsOptions, Workload};
use sampan_config::{ByteSize, GoDuration};
use url::Url;

use super::CommandResult;
use super::args::ReportFormat;
use super::terminal::{first_line, password, progress, say};

/// The password of `--user` without a file.
const PASSWORD_VARIABLE: &str = "BENCH_PASSWORD";

#[derive(Debug, clap::Args)]
pub(super) struct BenchOptions {
    /// The registry A, such as http://localhost:5000
    url: Url,

    /// The registry B, which does the same work in turn with A
    #[arg(long, value_name = "URL")]
    vs: Option<Url>,

    /// The work to measure; all by default
    #[arg(long, short, value_name = "NAME", value_delimiter = ',', value_parser = works())]
    work: Vec<Workload>,

    /// The number of concurrent clients, each with its own connection; several numbers are measured in
    /// sequence
    #[arg(long, short, value_name = "N", value_delimiter = ',', default_value = "1,16")]
    clients: Vec<usize>,

    /// The number of threads that the clients share
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,

    /// How often each work is measured on each registry
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,

    /// The duration of one measurement
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    duration: GoDuration,

    /// The size of large blobs
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    large: ByteSize,

    /// The size of small blobs
    #[arg(long, value_name = "SIZE", default_value = "4KiB")]
    small: ByteSize,

    /// The volume after which a measurement of pushes ends, but at least one blob per client
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    push_volume: ByteSize,

    /// The repository to fill [default: bench/ and a random number]
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,

    /// Keep the pushed content in the registry
    #[arg(long)]
    keep: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,

    /// A's process on this machine: report its CPU time and memory, including its children
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,

    /// B's process
    #[arg(long, value_name = "PID", requires = "vs")]
    vs_pid: Option<u32>,

    /// A's data directory on this machine: drop it from the page cache before each measurement of a pull
    #[arg(long, value_name = "DIRECTORY")]
    cold: Option<PathBuf>,

    /// B's data directory
    #[arg(long, value_name = "DIRECTORY", requires_all = ["vs", "cold"])]
    vs_cold: Option<PathBuf>,

    /// A is a server of plain files, such as nginx, with this directory: write blobs there and pull them as
    /// files
    #[arg(long, value_name = "DIRECTORY")]
    files: Option<PathBuf>,

    /// B is a server of plain files
    #[arg(long, value_name = "DIRECTORY", requires = "vs")]
    vs_files: Option<PathBuf>,

    /// The user; the password comes from --password-file, $BENCH_PASSWORD, a prompt or standard input
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,

    /// The user of B, if different from --user
    #[arg(long, value_name = "NAME", requires = "vs_password_file")]
    vs_user: Option<String>,

    /// A file whose first line is the password of --vs-user
    #[arg(long, value_name = "FILE", requires_all = ["vs", "vs_user"])]
    vs_password_file: Option<PathBuf>,

    /// A PEM file with the authority of the certificates; else this machine's authorities
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,

    /// Accept any certificate
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(options: BenchOptions) -> CommandResult {
    let format = options.format;
    let options = resolve(options)?;
    let report = sampan_bench::run(&options, &mut |text| progress(text));
    progress("");
    let report = report?;
    match format {
        ReportFormat::Json => say(serde_json::to_string_pretty(&report)?),
        ReportFormat::Text => say(report.to_string()),
    }
    Ok(())
}

fn resolve(options: BenchOptions) -> Result<Options, Box<dyn std::error::Error>> {
    let tls = match (options.insecure, options.cacert) {
        (true, _) => TlsOptions::Insecure,
        (false, Some(path)) => TlsOptions::Authority(path),
        (false, None) => TlsOptions::System,
    };
    let kind = |files: Option<PathBuf>| files.map_or(Kind::Registry, Kind::Files);
    let credentials = credentials(options.user, options.password_file.as_deref())?;
    let vs_credentials = match options.vs_user {
        None => credentials.clone(),
        user => self::credentials(user, options.vs_password_file.as_deref())?,
    };
    let target = Target {
        url: options.url,
        kind: kind(options.files),
        credentials,
        tls: tls.clone(),
        pid: options.pid,
        cold: options.cold,
    };
    let versus = options.vs.map(|url| Target {
        url,
        kind: kind(options.vs_files),
        credentials: vs_credentials,
        tls,
        pid: options.vs_pid,
        cold: options.vs_cold,
    });
    let files_only =
        [&Some(&target), &versus.as_ref()].into_iter().flatten().any(|target| target.kind != Kind::Registry);
    let works = match options.work {
        named if !named.is_empty() => named,
        _ if files_only => vec![Workload::PullLarge, Workload::PullSmall],
        _ => Workload::ALL.to_vec(),
    };
    Ok(Options {
        target,
        versus,
        works,
        clients: options.clients,
        threads: options.threads,
        rounds: options.rounds,
        duration: options.duration.0,
        large: options.large.0,
        small: options.small.0,
        push_volume: options.push_volume.0,
        repository: options.repository.unwrap_or_else(|| format!("bench/{:08x}", rand::random::<u32>())),
        keep: options.keep,
    })
}

fn works() -> impl TypedValueParser<Value = Workload> {
    PossibleValuesParser::new(Workload::ALL.map(Workload::name)).try_map(|name| name.parse::<Workload>())
}

fn credentials(
    user: Option<String>,
    file: Option<&Path>,
) -> Result<Option<Credentials>, Box<dyn std::error::Error>> {
    let Some(user) = user else { return Ok(None) };
    let password = match (file, std::env::var(PASSWORD_VARIABLE)) {
        (Some(file), _) => first_line(file)?,
        (None, Ok(password)) => password,
        (None, Err(_)) => String::from_utf8(password(&user, false)?)?,
    };
    Ok(Some(Credentials { user, password }))
}
