//! Arguments of `registry access`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sampan_engine::oci::RepositoryName;

use super::args::ReportFormat;
use super::config_argument::ConfigArgument;
use crate::auth::Action;

#[derive(Debug, Subcommand)]
pub(super) enum AccessCommand {
    /// Check the rules, and warn of those that mean little: exit code 0, or 1 and the mistakes
    ///
    /// Text that is no YAML hides the mistakes behind it, and a missing group is found when nothing else is wrong.
    ///
    /// Warns of groups without members, of names in no password file, of patterns that no repository name can
    /// match, and of rules that give nothing beside another one.
    Check(RulesOptions),

    /// Show which rule lets a client do something, or which comes nearest: exit code 0 if it may, 1 if not
    ///
    /// Answers from the files alone, and of a robot's token from the store: it asks neither a running registry nor for
    /// a password. With `--token`, the exit code is 0 if the registry takes the token, and 1 if not.
    #[command(
        override_usage = "registry access explain [OPTIONS] <WHO> <REPOSITORY> <ACTION> [CONFIG]\n       \
                                registry access explain [OPTIONS] --token <FILE>"
    )]
    Explain {
        /// The client: `anonymous`, the name of a user, or that of an access token
        #[arg(value_name = "WHO", required_unless_present = "token")]
        who: Option<String>,

        /// The repository
        #[arg(value_name = "REPOSITORY", required_unless_present = "token")]
        repository: Option<RepositoryName>,

        /// The action: pull, push, delete, or `*` for all three
        #[arg(value_name = "ACTION", value_parser = parse_action, required_unless_present = "token")]
        action: Option<Action>,

        /// Explain the token in this file, or on standard input for `-`: a bearer token, the answer of the token
        /// endpoint, or the secret of an access token
        #[arg(long, value_name = "FILE", conflicts_with_all = ["who", "repository", "action", "file"])]
        token: Option<PathBuf>,

        #[command(flatten)]
        options: RulesOptions,
    },

    /// Print a policy file with the rules of another registry; exit code 3 if they are not quite the same
    ///
    /// Comments in the file, and lines on standard error, say what has no counterpart here and is left out, and
    /// where the rules give more than there.
    Import {
        /// The configuration of zot, in JSON
        #[arg(long, value_name = "FILE")]
        zot: PathBuf,
    },
    /// Put a new key before those that sign tokens; the others still verify them
    RotateKey {
        #[command(flatten)]
        config: ConfigArgument,
    },
}

#[derive(Debug, Args)]
pub(super) struct RulesOptions {
    /// Read this policy file, in place of the rules of the configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "config_option"])]
    pub(super) file: Option<PathBuf>,

    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,

    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

fn parse_action(text: &str) -> Result<Action, String> {
    let known = [Action::Pull, Action::Push, Action::Delete, Action::All];
    let action = known.into_iter().find(|action| action.as_str() == text);
    action.ok_or_else(|| "it must be pull, push, delete or *".to_owned())
}
