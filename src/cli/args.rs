//! Command-line arguments.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use sampan_client::RegistryAddress;
use sampan_config::GoDuration;

use super::access_args::AccessCommand;
use super::backup::BackupCommand;
use super::bench::BenchOptions;
use super::bundle::BundleCommand;
use super::cache::CacheCommand;
use super::config_argument::ConfigArgument;
use super::copy::CopyArgs;
use super::export_args::ExportArgs;
use super::import::ImportArgs;
use super::inventory::InventoryArgs;
use super::login::LoginOptions;
use super::migrate::MigrateArgs;
use super::running_args::{HealthOptions, StatusOptions};
use super::sync::SyncArgs;
use super::tag::TagCommand;
use super::token_args::TokenCommand;
use super::usage::UsageOptions;
use super::user::UserCommand;
use super::verify::VerifyOptions;
use crate::serve::certificate::DEFAULT_DAYS;

/// An OCI container registry.
#[derive(Debug, Parser)]
#[command(name = "registry", version = VERSION, disable_version_flag = true)]
pub(super) struct Args {
    /// Print the version and exit
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Program, package and version on one line, as Distribution prints them.
const VERSION: &str = concat!("sampan v", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the registry until SIGTERM or SIGINT
    ///
    /// `registry FILE.yml` means the same, for the image's entry point.
    Serve {
        /// The configuration, as the last word or by this option
        #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "config")]
        config_option: Option<PathBuf>,

        /// The configuration; else $REGISTRY_CONFIGURATION_PATH, /etc/distribution/config.yml or
        /// /etc/docker/registry/config.yml, else a registry on localhost:5000 with its data in ./registry-data
        config: Option<PathBuf>,

        /// Serve the registry on localhost:5000, ignoring configurations in these places
        #[arg(long, conflicts_with_all = ["config", "config_option"])]
        default: bool,
    },

    /// Remove content without references, also while the registry is in use
    GarbageCollect(CollectOptions),

    /// Check the health of a running registry: exit code 0, or 1 and the reason
    ///
    /// For the health check of a container, and where there is no curl.
    Health(HealthOptions),

    /// Show a running registry's state from its debug listener: readiness, health checks, collections
    Status(StatusOptions),

    /// List repositories and tags with digest, platforms and size, from the store or through the API of any
    /// registry
    Ls(InventoryOptions),

    /// Show the size of each repository, and how much of it no other repository needs
    Du(InventoryOptions),

    /// Show how much of the store each repository takes, from the figures of the last collection or survey: at
    /// once, however large the store is
    Usage(UsageOptions),

    /// Write images to a bundle: one file that `registry import`, docker, podman, ctr and skopeo read
    Export(Box<ExportArgs>),

    /// Store the images of a bundle, or of an archive of another tool, also while a registry serves the store
    Import(Box<ImportArgs>),

    /// Copy images from a registry or store to another, without a file in between
    Copy(Box<CopyArgs>),

    /// Copy a whole store to another of any kind, while registries serve it: pass by pass, then to the end
    Migrate(Box<MigrateArgs>),

    /// Keep snapshots of a store in a second one, and bring it back to one of them
    #[command(subcommand)]
    Backup(BackupCommand),

    /// List what the store has, for `registry export --have` on the other side of a gap
    Inventory(InventoryArgs),

    /// List, verify, compare and serve bundles
    #[command(subcommand)]
    Bundle(BundleCommand),

    /// Look for damaged and missing content, and name the images that need it: exit code 3 if there is any
    ///
    /// Also while a registry serves the store. The running registry does it by itself with `verify.enabled`.
    Verify(Box<VerifyOptions>),

    /// List the tags that deletions removed, and restore them
    #[command(subcommand)]
    Tag(TagCommand),

    /// Manage caches of other registries
    #[command(subcommand)]
    Cache(CacheCommand),

    /// Run the jobs of `sync` once, which copy images from other registries: exit code 3 if something was left out
    ///
    /// The running registry runs them by itself, on their schedules.
    Sync(SyncArgs),

    /// Examine a configuration without serving it
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Manage the password file of `auth: htpasswd`
    #[command(subcommand)]
    Htpasswd(HtpasswdCommand),

    /// Manage the users of the configuration's password file
    #[command(subcommand)]
    User(UserCommand),

    /// Manage the access tokens of robots, for a registry with `access`
    #[command(subcommand)]
    Token(TokenCommand),

    /// Check and explain the rules for who may do what, `access` of the configuration
    #[command(subcommand)]
    Access(AccessCommand),

    /// Create a certificate authority and a server certificate for a network without one
    Certificate(CertificateOptions),

    /// Measure any OCI registry from outside, or two in turn: throughput, latency, and the server's resources
    ///
    /// Fills a repository with random content, and removes it again as far as the registry allows. Use a
    /// registry that may be loaded, never one that others depend on.
    Bench(Box<BenchOptions>),

    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// A truth value in the forms that Distribution's flags take: those of Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("neither `true` nor `false`"),
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct CollectOptions {
    /// Only show what would be removed
    #[arg(short = 'd', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(super) dry_run: bool,

    /// Also remove manifests that no tag, index or subject references
    #[arg(short = 'm', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(super) delete_untagged: bool,

    /// Print only errors
    #[arg(short = 'q', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(super) quiet: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// Keep content younger than this, such as 30m or 24h; 0 only if no registry serves the store meanwhile.
    /// Default: 0 if the configuration is read-only, else its gc.grace, which is 24h by default
    #[arg(long, value_name = "DURATION")]
    pub(super) grace: Option<GoDuration>,

    /// Delete even if most of the store would be removed, or repositories have vanished: check with --dry-run
    /// first
    #[arg(short = 'y', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

#[derive(Debug, clap::Args)]
pub(super) struct InventoryOptions {
    /// The configuration whose store is read, whether or not a registry runs on it; else the one that `serve`
    /// would use
    #[arg(short, long, value_name = "FILE", conflicts_with = "url")]
    pub(super) config: Option<PathBuf>,

    /// Use the API of the registry there instead, such as https://registry.example:5000 or docker.io
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<RegistryAddress>,

    #[command(flatten)]
    pub(super) login: LoginOptions,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// Only these repositories, and those below them (`team` includes `team/app`)
    #[arg(value_name = "REPOSITORY")]
    pub(super) repositories: Vec<String>,
}

/// An output format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// Text for people
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check whether the configuration can be served: exit code 0, or 1 and every problem found
    ///
    /// Opens what `serve` opens, as this user: the store's directory, certificates, password and key files.
    /// It creates and writes nothing, and contacts no other server.
    Check {
        /// Also check for another registry: exit code 1 if it would not start with the configuration, or be open to others
        #[arg(long = "for", value_name = "REGISTRY", value_enum)]
        for_registry: Option<OtherRegistry>,

        /// Check only the text, such as for a file that another machine will serve
        #[arg(long)]
        without_files: bool,

        #[command(flatten)]
        config: ConfigArgument,
    },
    /// Print the effective configuration, each value with its source, without secrets
    Show {
        #[command(flatten)]
        config: ConfigArgument,
    },
}

/// A registry that accepts the same configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum OtherRegistry {
    /// CNCF Distribution 3, `registry:3`
    Distribution,
}

#[derive(Debug, Subcommand)]
pub(super) enum HtpasswdCommand {
    /// Add a user or change a password, which comes from a prompt or standard input
    Add {
        /// The file; created if missing
        file: PathBuf,
        /// The user
        user: String,
    },
    /// Remove a user
    Remove {
        /// The file
        file: PathBuf,
        /// The user
        user: String,
    },
    /// List the users
    List {
        /// The file
        file: PathBuf,
    },
    /// Check a user's password, which comes from a prompt or standard input: exit code 0 or 1
    Verify {
        /// The file
        file: PathBuf,
        /// The user
        user: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CertificateOptions {
    /// The directory for ca.crt (for clients), domain.crt and domain.key (for the registry)
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: PathBuf,

    /// The validity of the certificate, in days
    #[arg(long, default_value_t = DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) days: u32,

    /// Overwrite an existing certificate; the authority stays
    #[arg(long)]
    pub(super) replace: bool,

    /// Host names and addresses under which clients reach the registry
    #[arg(required = true, value_name = "HOST")]
    pub(super) hosts: Vec<String>,
}

/// `registry config.yml` means `registry serve config.yml`.
pub(super) fn with_implied_serve(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|arg| is_config(arg)) {
        args.insert(1, "serve".into());
    }
    args
}

/// Whether an argument has the name of a configuration file.
pub(super) fn is_config(arg: &OsStr) -> bool {
    Path::new(arg).extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_flag_takes_what_gos_flags_take() {
        let parse = |flags: &[&str]| {
            let words = ["registry", "garbage-collect"].iter().chain(flags).chain(&["c.yml"]).copied();
            match Args::try_parse_from(words).map(|args| args.command) {
                Ok(Some(Command::GarbageCollect(options))) => {
                    Ok((options.dry_run, options.delete_untagged, options.quiet))
                }
                Ok(_) => panic!("another command"),
                Err(error) => Err(error.to_string()),
            }
        };
        assert_eq!(parse(&["-d=T", "--delete-untagged=1", "--quiet"]), Ok((true, true, true)));
        assert_eq!(parse(&["-d=0", "-m", "--quiet=False"]), Ok((false, true, false)));
        assert_eq!(parse(&["-dm"]), Ok((true, true, false)));
        let problem = parse(&["--dry-run=yes"]).unwrap_err();
        assert!(problem.contains("'yes'") && problem.contains("neither `true` nor `false`"), "{problem}");
    }

    #[test]
    fn a_bare_configuration_is_served() {
        for (given, expected) in [
            (
                vec!["registry", "/etc/distribution/config.yml"],
                vec!["registry", "serve", "/etc/distribution/config.yml"],
            ),
            (vec!["registry", "c.yaml"], vec!["registry", "serve", "c.yaml"]),
            (vec!["registry", "serve", "c.yml"], vec!["registry", "serve", "c.yml"]),
            (vec!["registry", "--help"], vec!["registry", "--help"]),
            (vec!["registry"], vec!["registry"]),
        ] {
            assert_eq!(with_implied_serve(given.into_iter().map(OsString::from)), expected);
        }
    }
}
