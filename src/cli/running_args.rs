//! The arguments of commands that ask a running registry.

use std::path::PathBuf;

use url::Url;

use super::args::ReportFormat;
use super::config_argument::ConfigArgument;

#[derive(Debug, clap::Args)]
pub(super) struct HealthOptions {
    /// The registry's URL, such as https://registry.example:5000; else http.addr of the configuration, on
    /// this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "config_option"])]
    pub(super) url: Option<Url>,

    #[command(flatten)]
    pub(super) trust: TrustOptions,

    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

/// Which certificates the registry at `--url` may have.
#[derive(Debug, Default, clap::Args)]
pub(super) struct TrustOptions {
    /// With --url: a PEM file with the authority of the registry's certificate, trusted instead of this machine's
    /// authorities
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) cacert: Option<PathBuf>,

    /// With --url: accept any certificate
    #[arg(long)]
    pub(super) insecure: bool,
}

impl TrustOptions {
    pub(super) fn is_given(&self) -> bool {
        self.cacert.is_some() || self.insecure
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusOptions {
    /// The debug listener's URL, such as http://localhost:5001; else http.debug.addr of the configuration, on
    /// this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "config_option"])]
    pub(super) url: Option<Url>,

    #[command(flatten)]
    pub(super) trust: TrustOptions,

    /// Request a garbage collection now
    #[arg(long)]
    pub(super) collect_garbage: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    #[command(flatten)]
    pub(super) config: ConfigArgument,
}
