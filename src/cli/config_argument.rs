//! `ConfigArgument`: the configuration of a command, by `-c` or as its last word.

use std::path::PathBuf;

use clap::Args;

/// The configuration of a command that falls back to the one that `serve` would use.
#[derive(Debug, Args)]
pub(super) struct ConfigArgument {
    /// The configuration, as the last word or by this option; else the one that `serve` would use
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "config")]
    config_option: Option<PathBuf>,

    /// The configuration; else the one that `serve` would use
    config: Option<PathBuf>,
}

impl ConfigArgument {
    /// The configuration, wherever it is named.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| self.config_option.clone())
    }
}

/// The configuration of a store of backups.
#[derive(Debug, Args)]
pub(super) struct BackupArgument {
    /// The configuration of the store of the backups, as the last word or by this option
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "backup")]
    backup_option: Option<PathBuf>,

    /// The configuration of the store of the backups
    #[arg(required_unless_present = "backup_option")]
    backup: Option<PathBuf>,
}

impl BackupArgument {
    /// The configuration, wherever it is named.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.backup.clone().or_else(|| self.backup_option.clone())
    }
}
