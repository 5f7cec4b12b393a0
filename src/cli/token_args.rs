//! The arguments of `registry token`.

use std::path::PathBuf;

use clap::Subcommand;
use sampan_config::{Permission, RepositoryPattern};
use sampan_engine::AccessTokenId;

use super::args::ReportFormat;
use crate::auth::Lifetime;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token, and print its secret once, alone on standard output
    Create(CreateOptions),
    /// List the tokens
    List(CommonOptions),
    /// Show a token: what it may do, and until when
    Show {
        /// The token's id
        id: AccessTokenId,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Create a token like this one, which ends after the overlap; print the secret of the new one
    Rotate {
        /// The token's id
        id: AccessTokenId,
        /// How long the old token stays valid, such as 24h or 7d
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        overlap: Lifetime,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Remove a token; every registry over the store refuses it within ten seconds
    Revoke {
        /// The token's id
        id: AccessTokenId,
        #[command(flatten)]
        common: CommonOptions,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateOptions {
    /// The name: under it the robot logs in, and the log shows it
    pub(super) name: String,
    /// What it may do: pull, push, delete or *; push and delete include pull
    #[arg(long, required = true, value_name = "ACTION", value_delimiter = ',')]
    pub(super) may: Vec<Permission>,
    /// The repositories, as patterns like those of rules
    #[arg(long, required = true, value_name = "PATTERN")]
    pub(super) on: Vec<RepositoryPattern>,
    /// Repositories that are left out
    #[arg(long, value_name = "PATTERN")]
    pub(super) except: Vec<RepositoryPattern>,
    /// The user whose rights bound those of the token
    #[arg(long = "for", value_name = "USER")]
    pub(super) on_behalf_of: Option<String>,
    /// How long it is valid, such as 12h or 90d, or `never` if access.tokens.longest is 0s
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    pub(super) expires: Lifetime,
    /// Why it exists
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) note: String,
    #[command(flatten)]
    pub(super) common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct CommonOptions {
    /// The configuration whose store has the tokens, whether or not a registry runs on it; else the one that
    /// `serve` would use
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
}
