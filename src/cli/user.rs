//! `registry user`: the users of the configuration's password file.

use std::error::Error;
use std::path::PathBuf;

use clap::Subcommand;
use sampan_config::{AuthConfig, Loaded};

use super::args::HtpasswdCommand;
use super::{CommandResult, check, htpasswd, token_names};
use crate::drivers::Drivers;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user or change a password, which comes from a prompt or standard input
    Add(UserOptions),
    /// Remove a user; a running registry notices it within a second
    Remove(UserOptions),
    /// List the users
    List {
        /// The configuration; else the one that `serve` would use
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Check a user's password, which comes from a prompt or standard input: exit code 0 or 1
    Verify(UserOptions),
}

#[derive(Debug, clap::Args)]
pub(super) struct UserOptions {
    /// The user
    name: String,
    /// The configuration; else the one that `serve` would use
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(drivers: &Drivers, command: UserCommand) -> CommandResult {
    let path = |loaded: &Loaded| -> Result<PathBuf, Box<dyn Error>> {
        match &loaded.config.auth {
            AuthConfig::Htpasswd(htpasswd) => Ok(htpasswd.path.clone()),
            _ => Err("the configuration has no `auth.htpasswd`, and so no file of users".into()),
        }
    };
    let file = |config: Option<PathBuf>| path(&check::find(drivers, config)?);
    htpasswd::run(match command {
        UserCommand::Add(UserOptions { name, config }) => {
            let loaded = check::find(drivers, config)?;
            let file = path(&loaded)?;
            token_names::check_user(drivers, &loaded, &name)?;
            HtpasswdCommand::Add { file, user: name }
        }
        UserCommand::Remove(UserOptions { name, config }) => {
            HtpasswdCommand::Remove { file: file(config)?, user: name }
        }
        UserCommand::List { config } => HtpasswdCommand::List { file: file(config)? },
        UserCommand::Verify(UserOptions { name, config }) => {
            HtpasswdCommand::Verify { file: file(config)?, user: name }
        }
    })
}
