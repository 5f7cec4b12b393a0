//! The arguments of `registry token`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use sampan_config::{GoDuration, Permission, RepositoryPattern};
use sampan_engine::AccessTokenId;

use super::args::ReportFormat;

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

/// A duration of days (`90d`) or as Go writes it, or `never`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lifetime {
    For(Duration),
    Never,
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        let duration = match days {
            Some(days) => Ok(Duration::from_secs(u64::from(days) * 24 * 3600)),
            None => text.parse().map(|GoDuration(duration)| duration),
        };
        duration.map(Self::For).map_err(|_| "expected a duration such as 12h or 90d, or `never`".to_owned())
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => GoDuration(*duration).fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

impl Lifetime {
    pub(super) fn end(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::For(duration) => now.checked_add(duration),
            Self::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_days_or_a_duration_or_never() {
        let hours = |hours: u64| Some(Lifetime::For(Duration::from_secs(hours * 3600)));
        for (text, expected) in [
            ("90d", hours(90 * 24)),
            ("12h", hours(12)),
            ("60m", hours(1)),
            ("never", Some(Lifetime::Never)),
            ("", None),
            ("90", None),
            ("-1d", None),
            ("1.5d", None),
            ("99999999999d", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
