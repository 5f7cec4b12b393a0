//! `registry import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sampan_bundle::Plan;
use sampan_client::RegistryAddress;
use sampan_foreign::{UnreadableImage, UnreadablePolicy};
use sampan_transfer::{ImportOptions, Renames, Selector, TagPolicy};

use super::endpoint::{Endpoint, OpenTarget};
use super::export::selectors;
use super::export_args::positive;
use super::import_input::{ImportInput, MapRule, OpenedInput};
use super::input_error::of_input;
use super::login::LoginOptions;
use super::missing::name_missing;
use super::misunderstood;
use super::prune::PruneOptions;
use super::report::ReportOptions;
use super::terminal::{printable, warn};
use super::transfer::{Failed, write_lines};
use crate::drivers::Drivers;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The bundle: its file, its parts (or its name without .001), or - for standard input; or a file or
    /// directory of docker, podman, containerd, skopeo, crane, regctl, oras or hauler, also as .gz or .zst; or all
    /// archives of an oc-mirror
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

    /// Rename the repository FROM and those below it; `=TO` puts all below TO. In another tool's file,
    /// `:TAG=REPOSITORY:TAG`, `:=REPOSITORY` or `@DIGEST=REPOSITORY:TAG` names an image without a repository
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<MapRule>,

    /// Keep the host of names in another tool's file as the first component: docker.io/library/alpine
    #[arg(long)]
    keep_host: bool,

    /// Refuse a bundle that is not signed with the private key of this public key (PEM)
    #[arg(long, value_name = "KEY")]
    verify_key: Option<PathBuf>,

    /// How to treat a tag that exists with another image
    #[arg(long, value_enum, default_value_t = TagChoice::Move)]
    tags: TagChoice,

    #[command(flatten)]
    prune: PruneOptions,

    /// If the registry lacks content that the bundle presumes, list the images that need it, for `registry export
    /// --list` on the near side
    #[arg(long, value_name = "FILE")]
    missing_out: Option<PathBuf>,

    /// Write down what the registry has afterwards, for `registry export --have` on the near side
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    receipt: Option<PathBuf>,

    /// Pass over images that cannot be imported, and exit with 3, or 4 if the bundle is damaged
    #[arg(long)]
    keep_going: bool,

    /// How many blobs are stored at a time, from a file
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = positive)]
    jobs: usize,

    /// Only check the bundle and the registry, and show which tags would move
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    report: ReportOptions,
}

/// How to treat a tag that exists with another image.
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
    let runtime = super::runtime::start()?;
    let result = runtime.block_on(run_import(drivers, args));
    // A read of standard input cannot be interrupted.
    runtime.shutdown_background();
    result
}

/// Names the rules that rename nothing.
///
/// # Errors
///
/// When no rule renames anything, which would leave all images under their old names.
pub(super) fn check_renames(renames: &Renames, plan: &Plan) -> Result<(), Failed> {
    let unused = renames.unused(plan.repositories.iter().map(|repository| &repository.name));
    let shown: Vec<String> = unused.iter().map(|rule| format!("`--map {rule}`")).collect();
    if !unused.is_empty() && unused.len() == renames.count() && !plan.repositories.is_empty() {
        return Err(Failed(format!("no repository fits {}", shown.join(" or "))));
    }
    shown.iter().for_each(|rule| warn(format!("warning: no repository fits {rule}")));
    Ok(())
}

/// Names the images that cannot be read and were selected, and returns their number.
///
/// # Errors
///
/// The first of them, where an import does not continue without it.
fn name_unreadable(
    unreadable: &[UnreadableImage],
    only: &[Selector],
    keep_going: bool,
) -> Result<usize, sampan_foreign::Error> {
    let is_selected = |image: &&UnreadableImage| {
        only.is_empty()
            || only.iter().any(|selector| {
                let is_tag = image.tag.as_ref().is_some_and(|tag| selector.has_tag(tag));
                let is_digest = selector.digest().is_some() && selector.digest() == image.digest.as_ref();
                selector.has_repository(&image.repository)
                    && (is_tag || is_digest || selector.names_repositories())
            })
    };
    let selected: Vec<&UnreadableImage> = unreadable.iter().filter(is_selected).collect();
    if let Some(first) = selected.first().filter(|_| !keep_going) {
        return Err(sampan_foreign::Error::Damaged {
            entry: first.to_string(),
            offset: None,
            problem: format!("{}; with --keep-going the other images are imported", first.problem),
        });
    }
    for image in &selected {
        warn(printable(&format!("left out: {image}: {}", image.problem)));
    }
    Ok(selected.len())
}

async fn run_import(drivers: &Drivers, args: ImportArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let is_pipe = args.files == [Path::new("-")];
    if is_pipe && !args.only.is_empty() {
        return Err(misunderstood("--only needs a file, since a pipe does not go back".to_owned()).into());
    }
    if is_pipe && args.to.is_some() && args.login.reads_input() {
        let problem =
            "--user reads the password from standard input, which has the bundle: pass --password-file";
        return Err(misunderstood(problem.to_owned()).into());
    }
    let only = selectors(&args.only)?;
    if args.to.is_none() {
        args.login.refuse_without("--to")?;
    }
    let passes_over = args.keep_going || !only.is_empty();
    let input = ImportInput {
        files: if is_pipe { None } else { Some(&args.files) },
        rules: &args.map,
        keep_host: args.keep_host,
        unreadable: if passes_over { UnreadablePolicy::PassOver } else { UnreadablePolicy::Refuse },
        verify_key: args.verify_key.as_deref(),
        quiet: args.report.quiet,
    };
    let named = |error| of_input(error, &args.files);
    let OpenedInput { carried, unreadable } = input.open().await.map_err(named)?;
    let left_out =
        name_unreadable(&unreadable, &only, args.keep_going).map_err(|error| named(error.into()))?;
    if !only.is_empty() && !carried.is_seekable() {
        let problem = "--only needs an uncompressed bundle, since a compressed one does not go back: decompress it first";
        return Err(misunderstood(problem.to_owned()).into());
    }
    let renames = Renames::new(MapRule::renames(&args.map));
    check_renames(&renames, carried.plan())?;
    let to = args.to.clone().map_or_else(|| Endpoint::Config(args.config.clone()), Endpoint::Registry);
    let OpenTarget { target, max_manifest_bytes, free_bytes } = to.target(drivers, &args.login).await?;
    let options = ImportOptions {
        only,
        renames,
        find_missing: args.missing_out.is_some(),
        free_bytes,
        tags: args.tags.into(),
        keep_going: args.keep_going,
        jobs: args.jobs,
        dry_run: args.dry_run,
        receipt: args.receipt.is_some(),
        max_manifest_bytes,
    };
    let pruning = args.prune.prepare(carried.plan(), &*target, &options.renames, args.dry_run).await?;
    let imported = args.report.import(&*carried, &*target, &options, "imported").await;
    let mut report = imported.map_err(|error| named(name_missing(error, args.missing_out.as_deref())))?;
    if let Some(pruning) = pruning {
        pruning.finish(&*target, &mut report).await?;
    }
    if let Some(path) = &args.receipt {
        write_lines(path, &report.receipt)?;
    }
    args.report.finish(&report, args.dry_run, "imported", left_out)
}
