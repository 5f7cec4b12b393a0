//! `registry export`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use sampan_bundle::{
    Bundle, FileOutput, IndexScope, Output, OutputOptions, PartSum, Plan, Reader, SigningKey, WriteError,
    find_resumption, index_json, manifest_json, part_name,
};
use sampan_driver::{HumanSize, parse_size};
use sampan_engine::oci::{Digest, RepositoryName};
use sampan_transfer::{
    CountingOutput, ExportOptions, Exported, Holdings, IndexPolicy, Planned, Progress, Selector, Source,
    places, plan,
};

use super::args::ReportFormat;
use super::endpoint::Endpoint;
use super::export_args::{ExportArgs, IndexChoice};
use super::export_failure::{explain, name_other_platforms, name_unlisted, name_unused};
use super::export_files::{FAT_BYTES, check_file_length};
use super::export_parts::{
    check_first_part, missing_ranges, nothing_to_resume, refuse_existing, refuse_to_replace, write_sums,
};
use super::export_report::report;
use super::image_lists::listed_selectors;
use super::input_error::of_input;
use super::interruption::until_interrupted;
use super::misunderstood;
use super::progress::{TransferSize, show};
use super::since::Since;
use super::terminal::{say, warn};
use super::transfer::{
    Failed, INCOMPLETE, MaybePlan, async_file, existing_plan, name_left_out, name_rewritten, read_file,
};
use crate::atomic_write::folder_of;
use crate::drivers::Drivers;

/// The shortest part, in bytes.
const MIN_PART: u64 = 1 << 20;

/// A repository for each content.
type RepositoryOf = HashMap<Digest, RepositoryName>;

/// The bundle to write, and which part of it.
struct Job {
    bundle: Bundle,
    places: RepositoryOf,
    split_bytes: Option<u64>,
    /// The ranges of the bundle that are written, in order.
    ranges: Vec<Range<u64>>,
}

impl Job {
    async fn write(
        &self,
        range: &Range<u64>,
        content: &Arc<Exported>,
        jobs: usize,
        output: &mut impl Output,
    ) -> Result<(), WriteError> {
        match jobs {
            ..=1 => self.bundle.write(range.clone(), &**content, output).await,
            jobs => self.bundle.write_ahead(range.clone(), content, jobs, output).await,
        }
    }
}

pub(super) fn run(drivers: &Drivers, args: ExportArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = super::runtime::start()?;
    let result = runtime.block_on(export(drivers, args));
    // A write to standard output that nothing reads does not end. Files are closed by now.
    runtime.shutdown_background();
    result
}

async fn export(drivers: &Drivers, args: ExportArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let split_bytes = args.split.as_deref().map(part_size).transpose()?;
    let output = args.output.clone().unwrap_or_default();
    let to_stdout = output == Path::new("-");
    if to_stdout && (split_bytes.is_some() || args.resume || args.part.is_some()) {
        return Err(misunderstood("--split, --resume and --part need a file: `-o FILE`".to_owned()).into());
    }
    let key =
        args.sign.as_deref().map(|path| read_file(path).and_then(|pem| Ok(SigningKey::from_pem(&pem)?)));
    let key = key.transpose()?;
    if args.login.reads_input() && args.list.iter().chain(&args.have).any(|path| is_standard_input(path)) {
        let problem = "--user reads the password from standard input, which has a list: pass --password-file";
        return Err(misunderstood(problem.to_owned()).into());
    }
    let selectors = all_selectors(&args)?;
    if args.since.is_some() && args.from.is_some() {
        return Err(misunderstood(format!("--since: {}", sampan_transfer::Error::NoTagTimes)).into());
    }
    if args.from.is_none() {
        args.login.refuse_without("--from")?;
    }
    let from = args.from.clone().map_or_else(|| Endpoint::Config(args.config.clone()), Endpoint::Registry);
    let (source, host) = from.source(drivers, &args.login, &selectors).await?;

    let (mut left_out, mut rewritten) = (0, Vec::new());
    let mut job = if args.resume {
        resume(&*source, &output, split_bytes, &args.source_options()).await?
    } else if let Some(number) = args.part {
        part(&*source, &output, number, split_bytes).await?
    } else {
        let mut planned = plan(&*source, &options(&args, &*source, selectors, host).await?).await?;
        left_out = planned.failures.len();
        name_left_out(&planned.failures);
        name_unused(&planned.unused_exclusions);
        name_unlisted(&planned.unlisted);
        rewritten = std::mem::take(&mut planned.rewritten);
        if !args.report.quiet {
            name_rewritten(&rewritten);
            name_other_platforms(&planned.other_platforms);
        }
        if !to_stdout && !args.dry_run {
            refuse_existing(&output, &args.source_options())?;
        }
        let (bundle, places) = assemble(planned, key.as_ref())?;
        let whole = 0..bundle.layout().len_bytes();
        Job { bundle, places, split_bytes, ranges: vec![whole] }
    };
    if !args.dry_run {
        let content = Exported::new(source.clone(), job.bundle.plan(), std::mem::take(&mut job.places))?;
        let content = Arc::new(content);
        let mut sums = Vec::new();
        if let Some(split_bytes) = job.split_bytes.filter(|_| !args.resume && args.part.is_none()) {
            let there = until_interrupted(missing_ranges(&job.bundle, &*content, &output, split_bytes));
            (job.ranges, sums) = there.await??;
        }
        if let Err(error) = write(&args, &content, &job, &output, to_stdout, sums).await {
            return Err(explain(error, &args, &source, job.bundle.plan()).await);
        }
    }
    let is_json = args.report.format == ReportFormat::Json;
    if is_json || !args.report.quiet && (!to_stdout || args.dry_run) {
        // What reads standard output waits for a bundle.
        let print = if to_stdout { |line: String| warn(line) } else { |line: String| say(line) };
        report(&args, &job.bundle, left_out, &rewritten, print)?;
    }
    Ok(if left_out == 0 { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

fn is_standard_input(path: &Path) -> bool {
    ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

/// The selectors of the command line and of its lists.
fn all_selectors(args: &ExportArgs) -> Result<Vec<Selector>, Box<dyn std::error::Error>> {
    let mut selectors = selectors(&args.selectors)?;
    selectors.extend(listed_selectors(&args.list)?);
    Ok(selectors)
}

async fn options(
    args: &ExportArgs,
    source: &dyn Source,
    selectors: Vec<Selector>,
    host: Option<String>,
) -> Result<ExportOptions, Box<dyn std::error::Error>> {
    if selectors.is_empty() {
        return Err("the lists have no images".into());
    }
    let mut have = Holdings::default();
    for path in &args.have {
        match existing_plan(path).await? {
            MaybePlan::Plan(plan, name) => have.add_plan(&plan, name),
            MaybePlan::Other(file) => {
                let added = without_mark(file).and_then(|lines| Ok(have.add_lines(lines)?));
                added.map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
    }
    have.expand(source).await?;
    Ok(ExportOptions {
        selectors,
        exclude: self::selectors(&args.exclude)?,
        platforms: args.platform.clone(),
        indexes: if args.rewrite_index { IndexPolicy::Rewrite } else { IndexPolicy::Keep },
        referrers: !args.no_referrers,
        latest: args.latest,
        since: args.since.map(|Since(time)| time),
        have,
        host: args.name_host.clone().or(host).unwrap_or_else(|| "localhost:5000".to_owned()),
        index: match args.index {
            IndexChoice::Images => IndexScope::Images,
            IndexChoice::All => IndexScope::All,
        },
        docker_platform: args.docker_platform.clone(),
        created: args.created.clone(),
        keep_going: args.keep_going,
    })
}

/// The lines of a file without the byte order mark that editors of Windows put before them.
fn without_mark(mut file: impl Read) -> Result<impl BufRead, Box<dyn std::error::Error>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut first = Vec::new();
    (&mut file).take(MARK.len() as u64).read_to_end(&mut first)?;
    let kept = if first == MARK { Vec::new() } else { first };
    Ok(Cursor::new(kept).chain(BufReader::new(file)))
}

pub(super) fn selectors(texts: &[String]) -> Result<Vec<Selector>, clap::Error> {
    texts.iter().map(|text| text.parse().map_err(|error| misunderstood(format!("{error}")))).collect()
}

fn part_size(text: &str) -> Result<u64, clap::Error> {
    let size = match text {
        "fat32" => Some(FAT_BYTES),
        "dvd" => Some(4_700_000_000),
        text => parse_size(text),
    };
    size.filter(|size| *size >= MIN_PART).ok_or_else(|| {
        misunderstood(format!("--split {text}: it must be at least 1MiB, such as 4GiB, 650MB, fat32 or dvd"))
    })
}

/// podman reads no longer `manifest.json`, in bytes.
const PODMAN_LIMIT: usize = 1 << 20;

fn assemble(
    planned: Planned,
    key: Option<&SigningKey>,
) -> Result<(Bundle, RepositoryOf), Box<dyn std::error::Error>> {
    let index = index_json(&planned.plan);
    let manifest = manifest_json(&planned.plan, &planned.docker);
    match &manifest {
        None => warn(
            "warning: the bundle has too many images for docker without the containerd store, and for podman",
        ),
        Some(manifest) if manifest.len() > PODMAN_LIMIT => {
            warn("warning: the bundle has too many images for `podman load`");
        }
        Some(_) => {}
    }
    Ok((Bundle::assemble(planned.plan, index, manifest, key)?, planned.places))
}

/// The possible names of the first part: the number of digits depends on the number of parts.
fn first_parts(output: &Path) -> impl Iterator<Item = PathBuf> {
    [1, 1_000, 10_000, 100_000].into_iter().map(|count| part_name(output, 1, count))
}

async fn resume(
    source: &dyn Source,
    output: &Path,
    split_bytes: Option<u64>,
    source_options: &str,
) -> Result<Job, Box<dyn std::error::Error>> {
    if split_bytes.is_none() {
        refuse_to_replace(output)?;
    }
    let Some(found) = find_resumption(output, split_bytes).await? else {
        return Err(nothing_to_resume(output, split_bytes, source_options).into());
    };
    let places = places(source, found.bundle.plan()).await?;
    let rest = found.offset..found.bundle.layout().len_bytes();
    Ok(Job { bundle: found.bundle, places, split_bytes, ranges: vec![rest] })
}

async fn part(
    source: &dyn Source,
    output: &Path,
    number: u64,
    split_bytes: Option<u64>,
) -> Result<Job, Box<dyn std::error::Error>> {
    let Some(first) = first_parts(output).find(|path| path.exists()) else {
        return Err(Failed(format!(
            "{} is missing, which has the plan of all parts: repeat the export with the options of the first time; the same \
             images make the same parts",
            part_name(output, 1, 1).display()
        ))
        .into());
    };
    let split = std::fs::metadata(&first)?.len();
    let opened = Reader::head_of(std::slice::from_ref(&first)).await;
    let bundle = opened.map_err(|error| of_input(error.into(), std::slice::from_ref(&first)))?;
    let len = bundle.layout().len_bytes();
    check_first_part(output, &first, len, split_bytes)?;
    let count = len.div_ceil(split);
    if number < 1 || number > count {
        return Err(Failed(format!("the bundle has {count} parts, so there is no part {number}")).into());
    }
    let path = part_name(output, number, count);
    if path.exists() {
        return Err(Failed(format!("{} exists: remove it first", path.display())).into());
    }
    let places = places(source, bundle.plan()).await?;
    let range = (number - 1) * split..(number * split).min(len);
    Ok(Job { bundle, places, split_bytes: Some(split), ranges: vec![range] })
}

async fn write(
    args: &ExportArgs,
    content: &Arc<Exported>,
    job: &Job,
    output: &Path,
    to_stdout: bool,
    mut sums: Vec<PartSum>,
) -> Result<(), Box<dyn std::error::Error>> {
    let len: u64 = job.ranges.iter().map(|range| range.end - range.start).sum();
    if !to_stdout {
        let whole = job.bundle.layout().len_bytes();
        check_file_length(output, job.split_bytes.map_or(whole, |split| split.min(whole)))?;
    }
    if !to_stdout && job.split_bytes.is_none() {
        check_space(output, len)?;
    }
    let progress = Arc::new(Progress::default());
    let _shown = show(args.report.progress(), progress.clone(), TransferSize { bytes: len, images: None });
    if to_stdout {
        let mut counted = CountingOutput::new(async_file(std::io::stdout())?, progress);
        for range in &job.ranges {
            until_interrupted(job.write(range, content, args.jobs, &mut counted)).await??;
        }
        tokio::io::AsyncWriteExt::flush(&mut counted.into_inner()).await?;
        return Ok(());
    }
    for range in &job.ranges {
        let options = OutputOptions {
            path: output.to_owned(),
            split_bytes: job.split_bytes,
            len_bytes: job.bundle.layout().len_bytes(),
            start: range.start,
        };
        let files = FileOutput::with(options, noted_in_sums(output));
        let mut counted = CountingOutput::new(files, progress.clone());
        let written = until_interrupted(job.write(range, content, args.jobs, &mut counted)).await;
        // The error of a file is the reason of the one that the bundle's writer saw.
        sums.extend(counted.into_inner().finish().await?.sums);
        written??;
    }
    if job.split_bytes.is_some() {
        write_sums(output, &sums, args.part.is_some())?;
    }
    Ok(())
}

/// Adds the checksum of each finished part to the file beside the bundle at once: if the medium fills up, parts are carried away
/// and made one by one. An error is that of the whole file later.
fn noted_in_sums(output: &Path) -> impl FnMut(&PartSum) + Send + 'static {
    let output = output.to_owned();
    move |sum| {
        let _ = write_sums(&output, std::slice::from_ref(sum), true);
    }
}

fn check_space(output: &Path, len: u64) -> Result<(), Failed> {
    let directory = folder_of(output);
    let Ok(space) = rustix::fs::statvfs(&directory) else { return Ok(()) };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    match free < len {
        true => Err(Failed(format!(
            "{} has {} free, and the bundle needs {}: pass --split to write it to several media",
            directory.display(),
            HumanSize(free),
            HumanSize(len)
        ))),
        false => Ok(()),
    }
}

/// The names of the images of a plan.
pub(super) fn images(plan: &Plan) -> impl Iterator<Item = String> {
    plan.images().flat_map(|(repository, image)| {
        let name = &repository.name;
        let untagged = image.tags.is_empty().then(|| format!("{name}@{}", image.digest));
        image.tags.iter().map(move |tag| format!("{name}:{tag}")).chain(untagged)
    })
}
