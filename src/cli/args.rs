//! What can be asked of the binary.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use super::bench::BenchOptions;
use crate::config::GoDuration;
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
    /// `registry FILE.yml` means the same, as the image's entry point has it.
    Serve {
        /// The configuration; else $REGISTRY_CONFIGURATION_PATH, /etc/distribution/config.yml or
        /// /etc/docker/registry/config.yml, else a registry on localhost:5000 with its data in ./registry-data
        config: Option<PathBuf>,

        /// Serve the registry on localhost:5000, also where one of these places has a configuration
        #[arg(long, conflicts_with = "config")]
        default: bool,
    },

    /// Remove content that nothing refers to, also while the registry is in use
    GarbageCollect(CollectOptions),

    /// Say whether a running registry is well: exit code 0, or 1 and the reason
    ///
    /// For the health check of a container, and wherever there is no curl.
    Health(HealthOptions),

    /// Say what a running registry's debug listener says: readiness, health checks, collections
    Status(StatusOptions),

    /// List repositories and tags: digest, platforms and size, from the store or by the API of any registry
    Ls(InventoryOptions),

    /// Say how much room each repository takes, and how much of that no other needs
    Du(InventoryOptions),

    /// Look at a configuration without serving it
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Keep the file of users and passwords for `auth: htpasswd`
    #[command(subcommand)]
    Htpasswd(HtpasswdCommand),

    /// Make a certificate authority and a server certificate for a network without one
    Certificate(CertificateOptions),

    /// Measure any OCI registry from outside, or two in turn: throughput, latency, and what the server spends
    ///
    /// It fills a repository with random content, and removes it again as far as the registry lets it.
    /// Give it a registry that may be loaded, never one that others depend on.
    Bench(Box<BenchOptions>),

    /// Print a completion script for a shell
    Completion {
        /// For which shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CollectOptions {
    /// Only tell what would be removed
    #[arg(short = 'd', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub(super) dry_run: bool,

    /// Remove manifests too that no tag, index or subject reaches
    #[arg(short = 'm', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub(super) delete_untagged: bool,

    /// Print nothing but errors
    #[arg(short = 'q', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub(super) quiet: bool,

    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// Keep what is younger, such as 30m or 24h; 0 only when no registry serves the store meanwhile.
    /// Without it: 0 if the configuration says read-only, else its gc.grace, which is 24h by default
    #[arg(long, value_name = "DURATION")]
    pub(super) grace: Option<GoDuration>,

    /// Delete also when most of the store would go, or when repositories have vanished: look with --dry-run first
    #[arg(short = 'y', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub(super) yes: bool,

    /// The configuration; else the one that `serve` would take
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InventoryOptions {
    /// The configuration whose store is read, whether a registry runs over it or not; else the one that `serve` would take
    #[arg(short, long, value_name = "FILE", conflicts_with = "url")]
    pub(super) config: Option<PathBuf>,

    /// Ask the registry at this URL by its API instead, such as https://registry.example:5000
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<Url>,

    /// Who asks; the password is in --password-file, or is asked for or read from standard input
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(super) user: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(super) password_file: Option<PathBuf>,

    /// A PEM file with the authority that signed the certificate; else those that this machine trusts
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "insecure")]
    pub(super) cacert: Option<PathBuf>,

    /// Believe any certificate
    #[arg(long, requires = "url")]
    pub(super) insecure: bool,

    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// Only these repositories, and those below them (`team` means `team/app` too)
    #[arg(value_name = "REPOSITORY")]
    pub(super) repositories: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct HealthOptions {
    /// Where the registry is, such as https://registry.example:5000; else http.addr of the configuration, on this machine
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(super) url: Option<Url>,

    /// The configuration; else the one that `serve` would take
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusOptions {
    /// Where the debug listener is, such as http://localhost:5001; else http.debug.addr of the configuration, on this machine
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(super) url: Option<Url>,

    /// Ask the registry to collect its garbage now
    #[arg(long)]
    pub(super) collect_garbage: bool,

    /// How the state is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    /// The configuration; else the one that `serve` would take
    pub(super) config: Option<PathBuf>,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the configuration would be served: exit code 0, or 1 and every problem found
    ///
    /// It opens what `serve` opens, as this user: the directory of the store, certificates, password and key files.
    /// It makes and writes nothing, and asks no other server.
    Check {
        /// Say as well what another registry would make of it: exit code 1 if it would not start with it
        #[arg(long = "for", value_name = "REGISTRY", value_enum)]
        for_registry: Option<OtherRegistry>,

        /// Look at the text alone, as for a file that another machine will serve
        #[arg(long)]
        without_files: bool,

        /// The configuration; else the one that `serve` would take
        config: Option<PathBuf>,
    },
    /// Print the configuration in effect, each value with where it comes from, without secrets
    Show {
        /// The configuration; else the one that `serve` would take
        config: Option<PathBuf>,
    },
}

/// A registry that takes the same configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum OtherRegistry {
    /// CNCF Distribution 3, `registry:3`
    Distribution,
}

#[derive(Debug, Subcommand)]
pub(super) enum HtpasswdCommand {
    /// Add a user, or change a password, which is asked for or read from standard input
    Add {
        /// The file; it is made when there is none
        file: PathBuf,
        /// Who
        user: String,
    },
    /// Remove a user
    Remove {
        /// The file
        file: PathBuf,
        /// Who
        user: String,
    },
    /// List the users
    List {
        /// The file
        file: PathBuf,
    },
    /// Say whether a password, which is asked for or read from standard input, is the user's: exit code 0 or 1
    Verify {
        /// The file
        file: PathBuf,
        /// Who
        user: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CertificateOptions {
    /// Where the files go: ca.crt (for clients), domain.crt and domain.key (for the registry)
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: PathBuf,

    /// For how many days the certificate is valid
    #[arg(long, default_value_t = DEFAULT_DAYS)]
    pub(super) days: u32,

    /// Make a certificate in the place of one that is there already; the authority stays
    #[arg(long)]
    pub(super) replace: bool,

    /// Host names and addresses that clients know the registry by
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

/// Whether an argument is named as a configuration is.
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
