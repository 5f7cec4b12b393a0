//! The options of `registry export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use sampan_client::RegistryAddress;
use sampan_transfer::Platform;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::login::LoginOptions;
use super::report::ReportOptions;
use super::since::Since;

/// The options of a new bundle: its plan comes from them.
const PLAN: &str = "plan";

#[derive(Debug, Args)]
#[command(group(ArgGroup::new(PLAN).multiple(true)))]
pub(super) struct ExportArgs {
    /// Images: REPOSITORY[:TAG][@DIGEST] with patterns, such as 'team/**', app:1.*, 'app:>=1.2,<2' or
    /// 'app:~v[0-9]+'; ** is everything
    #[arg(value_name = "SELECTOR", group = PLAN, required_unless_present_any = ["list", "resume", "part"])]
    pub(super) selectors: Vec<String>,

    /// The configuration whose store is read, whether or not a registry runs on it; else the one that `serve`
    /// would use
    #[arg(short, long, value_name = "FILE", conflicts_with = "from")]
    pub(super) config: Option<PathBuf>,

    /// The registry to read by its API instead, such as https://registry.example:5000 or docker.io
    #[arg(long, value_name = "URL")]
    pub(super) from: Option<RegistryAddress>,

    #[command(flatten)]
    pub(super) login: LoginOptions,

    /// The bundle to write; - is standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "dry_run")]
    pub(super) output: Option<PathBuf>,

    /// A file with one image a line, or the YAML of skopeo sync, hauler (Images) or oc-mirror (additionalImages); all
    /// images are of one host, which does not count
    #[arg(long, group = PLAN, value_name = "FILE")]
    pub(super) list: Vec<PathBuf>,

    /// Images to leave out, as SELECTOR
    #[arg(long, group = PLAN, value_name = "SELECTOR")]
    pub(super) exclude: Vec<String>,

    /// Only images for these platforms, such as linux/amd64,linux/arm64; an index stays as it is
    #[arg(long, group = PLAN, value_name = "PLATFORM", value_delimiter = ',')]
    pub(super) platform: Vec<Platform>,

    /// With --platform: give an image a new index that has only these platforms, for a registry that refuses an index with gaps.
    /// The digest changes, and signatures of the old index stay behind
    #[arg(long, group = PLAN, requires = "platform", conflicts_with = "have")]
    pub(super) rewrite_index: bool,

    /// Leave out what is attached to images: signatures, SBOMs, and tags such as sha256-….sig
    #[arg(long, group = PLAN)]
    pub(super) no_referrers: bool,

    /// Only this number of versions of each repository, the newest by their tags
    #[arg(long, group = PLAN, value_name = "NUMBER", value_parser = positive)]
    pub(super) latest: Option<usize>,

    /// Only tags that were set then or later, such as 2026-01-31 or 2026-01-31T12:00:00Z; not with --from
    #[arg(long, group = PLAN, value_name = "TIME")]
    pub(super) since: Option<Since>,

    /// Leave out what the far side has: its `registry inventory`, or an earlier bundle (or its bundle.json) that
    /// it has imported
    #[arg(long, group = PLAN, value_name = "FILE")]
    pub(super) have: Vec<PathBuf>,

    /// Write parts of this size (4GiB, 650MB, fat32, dvd) with names ending in .001, .002, and their checksums
    #[arg(long, value_name = "SIZE")]
    pub(super) split: Option<String>,

    /// Go on with an export that was interrupted; the selection comes from its beginning
    #[arg(long, requires = "output", conflicts_with_all = [PLAN, "part"])]
    pub(super) resume: bool,

    /// Write this part of a split bundle again, from the first part and the store
    #[arg(long, value_name = "NUMBER", requires = "output", conflicts_with = PLAN)]
    pub(super) part: Option<u64>,

    /// How many blobs are read and hashed at a time, ahead of the output; each takes up to 4 MiB of memory
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = positive)]
    pub(super) jobs: usize,

    /// Sign the bundle with this private key (PEM, Ed25519 or ECDSA P-256)
    #[arg(long, group = PLAN, value_name = "KEY")]
    pub(super) sign: Option<PathBuf>,

    /// The host that docker and others show for the images; else the one of --from, http.host, or
    /// localhost:5000
    #[arg(long, group = PLAN, value_name = "HOST")]
    pub(super) name_host: Option<String>,

    /// The tags that other tools find in the bundle: `all` adds those like sha256-….sig, which ctr 1.7 refuses
    #[arg(long, group = PLAN, value_enum, default_value_t = IndexChoice::Images)]
    pub(super) index: IndexChoice,

    /// The platform that old dockers and podman find in the bundle
    #[arg(long, group = PLAN, value_name = "PLATFORM", default_value = "linux/amd64")]
    pub(super) docker_platform: Platform,

    /// Record this time in the bundle, such as 2026-01-31T12:00:00Z; by default equal content makes equal bundles
    #[arg(long, group = PLAN, value_name = "TIME", value_parser = rfc3339)]
    pub(super) created: Option<String>,

    /// Leave out images that cannot be exported, and exit with 3
    #[arg(long, group = PLAN)]
    pub(super) keep_going: bool,

    /// Only show what would be exported
    #[arg(long, group = PLAN)]
    pub(super) dry_run: bool,

    #[command(flatten)]
    pub(super) report: ReportOptions,
}

impl ExportArgs {
    /// The options that name the source, after a space each; none if it is the default.
    pub(super) fn source_options(&self) -> String {
        let config = self.config.as_ref().map(|path| format!(" -c {}", path.display()));
        let from = self.from.as_ref().map(|address| format!(" --from {address}"));
        [config, from].into_iter().flatten().collect()
    }
}

/// A number that is not 0.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        number => number.map_err(|error| format!("{error}")),
    }
}

/// A time as a bundle records it.
fn rfc3339(text: &str) -> Result<String, &'static str> {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("it must be a time such as 2026-01-31T12:00:00Z"),
    }
}

/// The tags that other tools find.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum IndexChoice {
    /// Images
    Images,
    /// All tags
    All,
}
