//! `registry copy`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sampan_transfer::{
    ExportOptions, ImportOptions, IndexPolicy, LiveExport, Platform, Rename, Renames, plan,
};

use super::endpoint::{Endpoint, OpenTarget};
use super::export::selectors;
use super::export_args::positive;
use super::export_failure::{name_other_platforms, name_unlisted, name_unused};
use super::import::{TagChoice, check_renames};
use super::interruption::until_interrupted;
use super::login::{LoginOptions, host_of_any_port};
use super::misunderstood;
use super::report::ReportOptions;
use super::since::Since;
use super::transfer::{name_left_out, name_rewritten};
use crate::drivers::Drivers;

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// Images: REPOSITORY[:TAG][@DIGEST] with patterns, as for `registry export`; ** is everything
    #[arg(value_name = "SELECTOR", required = true)]
    selectors: Vec<String>,

    /// The registry to read, such as https://registry.example:5000 or docker.io; or a configuration (.yml),
    /// whose store is read
    #[arg(long, value_name = "URL|CONFIG")]
    from: Endpoint,

    /// The registry to write, or a configuration (.yml), whose store is written
    #[arg(long, value_name = "URL|CONFIG")]
    to: Endpoint,

    /// Images to leave out, as SELECTOR
    #[arg(long, value_name = "SELECTOR")]
    exclude: Vec<String>,

    /// Only images for these platforms, such as linux/amd64,linux/arm64; an index stays as it is
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// With --platform: give an image a new index that has only these platforms, for a registry that refuses an index with gaps.
    /// The digest changes, and signatures of the old index stay behind
    #[arg(long, requires = "platform")]
    rewrite_index: bool,

    /// Leave out what is attached to images: signatures, SBOMs, and tags such as sha256-….sig
    #[arg(long)]
    no_referrers: bool,

    /// Only this number of versions of each repository, the newest by their tags
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    latest: Option<usize>,

    /// Only tags that were set then or later, such as 2026-01-31 or 2026-01-31T12:00:00Z, of a store
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,

    /// Rename the repository FROM and those below it; `=TO` puts all below TO
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<Rename>,

    /// How to treat a tag that exists with another image
    #[arg(long, value_enum, default_value_t = TagChoice::Move)]
    tags: TagChoice,

    /// Pass over images that cannot be copied, and exit with 3
    #[arg(long)]
    keep_going: bool,

    /// How many blobs are copied at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = positive)]
    jobs: usize,

    /// Only show what would be copied, and which tags would move
    #[arg(long)]
    dry_run: bool,

    /// The user at the registry that is read; without one, the logins of docker and podman are used
    #[arg(long, value_name = "NAME")]
    from_user: Option<String>,

    /// A file whose first line is that user's password; else a prompt or standard input
    #[arg(long, value_name = "FILE", requires = "from_user")]
    from_password_file: Option<PathBuf>,

    /// The user at the registry that is written
    #[arg(long, value_name = "NAME")]
    to_user: Option<String>,

    /// A file whose first line is that user's password; else a prompt or standard input
    #[arg(long, value_name = "FILE", requires = "to_user")]
    to_password_file: Option<PathBuf>,

    /// A PEM file with the authority of the registries' certificates, trusted besides this machine's authorities
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,

    /// Accept any certificate
    #[arg(long)]
    insecure: bool,

    /// Use HTTP with a registry that does not speak TLS, if its URL does not begin with https://
    #[arg(long)]
    plain_http: bool,

    /// A host at an internal address that the registries may redirect to, on any port
    #[arg(long, value_name = "HOST", value_parser = host_of_any_port)]
    redirect_host: Vec<String>,

    /// A further host whose token server gets the logins, on any port
    #[arg(long, value_name = "HOST", value_parser = host_of_any_port)]
    realm_host: Vec<String>,

    #[command(flatten)]
    report: ReportOptions,
}

impl CopyArgs {
    /// The login at one of the two registries.
    fn login(&self, user: &Option<String>, password_file: &Option<PathBuf>) -> LoginOptions {
        LoginOptions {
            user: user.clone(),
            password_file: password_file.clone(),
            cacert: self.cacert.clone(),
            insecure: self.insecure,
            plain_http: self.plain_http,
            redirect_host: self.redirect_host.clone(),
            realm_host: self.realm_host.clone(),
        }
    }

    /// Refuses options for registries where stores are, since they would do nothing.
    fn refuse_logins_of_stores(&self) -> Result<(), clap::Error> {
        let (from, to) =
            (matches!(self.from, Endpoint::Registry(_)), matches!(self.to, Endpoint::Registry(_)));
        let options = [
            ("--from-user", self.from_user.is_some(), from, "--from URL"),
            ("--to-user", self.to_user.is_some(), to, "--to URL"),
            ("--cacert", self.cacert.is_some(), from || to, "--from URL or --to URL"),
            ("--insecure", self.insecure, from || to, "--from URL or --to URL"),
            ("--plain-http", self.plain_http, from || to, "--from URL or --to URL"),
            ("--redirect-host", !self.redirect_host.is_empty(), from || to, "--from URL or --to URL"),
            ("--realm-host", !self.realm_host.is_empty(), from || to, "--from URL or --to URL"),
        ];
        match options.into_iter().find(|(_, is_given, is_used, _)| *is_given && !is_used) {
            Some((name, _, _, needed)) => Err(misunderstood(format!("{name} needs {needed}"))),
            None => Ok(()),
        }
    }

    fn export_options(&self) -> Result<ExportOptions, clap::Error> {
        Ok(ExportOptions {
            exclude: selectors(&self.exclude)?,
            platforms: self.platform.clone(),
            indexes: if self.rewrite_index { IndexPolicy::Rewrite } else { IndexPolicy::Keep },
            referrers: !self.no_referrers,
            latest: self.latest,
            since: self.since.map(|Since(time)| time),
            keep_going: self.keep_going,
            ..ExportOptions::of(selectors(&self.selectors)?, "")
        })
    }
}

pub(super) fn run(drivers: &Drivers, args: CopyArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = super::runtime::start()?;
    runtime.block_on(copy(drivers, args))
}

async fn copy(drivers: &Drivers, args: CopyArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (from, to) = (
        args.login(&args.from_user, &args.from_password_file),
        args.login(&args.to_user, &args.to_password_file),
    );
    args.refuse_logins_of_stores()?;
    let options = args.export_options()?;
    if options.since.is_some() && matches!(args.from, Endpoint::Registry(_)) {
        return Err(misunderstood(format!("--since: {}", sampan_transfer::Error::NoTagTimes)).into());
    }
    let (source, _) = args.from.source(drivers, &from, &options.selectors).await?;
    let OpenTarget { target, max_manifest_bytes, free_bytes } = args.to.target(drivers, &to).await?;
    let planned = until_interrupted(plan(&*source, &options)).await??;
    let left_out = planned.failures.len();
    name_left_out(&planned.failures);
    if !args.report.quiet {
        name_rewritten(&planned.rewritten);
    }
    name_unused(&planned.unused_exclusions);
    name_unlisted(&planned.unlisted);
    if !args.report.quiet {
        name_other_platforms(&planned.other_platforms);
    }
    let renames = Renames::new(args.map.clone());
    check_renames(&renames, &planned.plan)?;
    let live = LiveExport::new(source, planned)?;
    let import_options = ImportOptions {
        only: Vec::new(),
        renames,
        tags: args.tags.into(),
        keep_going: args.keep_going,
        jobs: args.jobs,
        dry_run: args.dry_run,
        receipt: false,
        find_missing: false,
        free_bytes,
        max_manifest_bytes,
    };
    let report = args.report.import(&live, &*target, &import_options, "copied").await?;
    args.report.finish(&report, args.dry_run, "copied", left_out)
}
