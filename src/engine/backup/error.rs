//! The reasons why a backup, or a restore, stops. It can be run again after each of them.

use sampan_driver::{DriverError, DriverPath};

use super::{SnapshotId, TagThere};
use crate::{gc, migrate, verify};

/// The result of a step of a backup.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a backup or a restore stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store holds other content, and no backups.
    #[error("the backup store holds other content, such as {0}: choose an empty store")]
    OtherContent(DriverPath),
    /// The store holds the backups of another store.
    #[error(
        "the backup store holds backups of {recorded}, not of {given}: choose another store, or pass `--source-moved` if the \
         source has moved"
    )]
    OtherSource {
        /// The store whose backups it holds.
        recorded: String,
        /// The store of this run.
        given: String,
    },
    /// A migration fills the store, and its end removes what is written meanwhile.
    #[error(
        "a migration from {from} is filling the store to write to, and its last pass removes all other content: finish the \
         migration first, or delete {mark} there if you gave it up"
    )]
    Filled {
        /// The store that is copied.
        from: String,
        /// The marker of the migration.
        mark: DriverPath,
    },
    /// The store was moved elsewhere.
    #[error(
        "the store to write to was moved to {to}: pass that store instead, or delete {mark} if this one is in use again"
    )]
    Moved {
        /// The new place of the store.
        to: String,
        /// The marker of the move.
        mark: DriverPath,
    },
    /// The store holds no backups.
    #[error("this store holds no backups: pass the configuration that `registry backup run --to` uses")]
    NoBackup,
    /// There is no such snapshot.
    #[error("there is no snapshot {}", describe(.wanted, .first))]
    NoSnapshot {
        /// The requested snapshot; `None` for any.
        wanted: Option<SnapshotId>,
        /// The oldest snapshot, if there is any.
        first: Option<SnapshotId>,
    },
    /// A snapshot of this second exists already.
    #[error("a snapshot of {0} exists already")]
    Exists(SnapshotId),
    /// The file of a snapshot is damaged or incomplete.
    #[error("the snapshot {path} is damaged: {reason}; delete the file if it cannot be repaired")]
    Damaged {
        /// The file.
        path: DriverPath,
        /// The damage.
        reason: String,
    },
    /// A part of the store of the backups cannot be seen.
    #[error(
        "a part of the store cannot be seen, or repositories have vanished since the last prune, so nothing was deleted: mount \
         the missing part, or confirm with `--yes` that it is gone"
    )]
    Unseen,
    /// No repository is selected.
    #[error("no repository matches the selection")]
    NothingSelected,
    /// The store shows nothing, but its last snapshot had repositories.
    #[error(
        "the store shows no repositories, but the snapshot of {0} has {1}: check the configuration, and the volume that is \
         mounted there"
    )]
    EmptySource(SnapshotId, u64),
    /// A restore would point tags elsewhere.
    #[error(
        "{count} of the snapshot's tags point at other images now, such as {first}: pass `--replace` to point them back, or select \
         repositories with `--repository`"
    )]
    WouldReplace {
        /// How many tags.
        count: u64,
        /// The first of them.
        first: Box<TagThere>,
    },
    /// A collection deletes content of the store that is filled.
    #[error(
        "a garbage collection, prune or restore is running in the target store ({0}): run the same command again when it has \
         ended, or after 15 minutes if it was killed"
    )]
    Collecting(DriverPath),
    /// The copy between the stores stopped.
    #[error(transparent)]
    Copy(migrate::Error),
    /// The caller stopped the backup or the restore.
    #[error("stopped: run the same command again to continue")]
    Stopped,
    /// The lock of the collector was lost.
    #[error(
        "the process was halted for too long, or the store did not answer: run the same command again to continue"
    )]
    Lost,
    /// The lock of the collector was not available; or the collection of a prune stopped.
    #[error(transparent)]
    Collector(gc::Error),
    /// The verification stopped.
    #[error(transparent)]
    Verification(#[from] verify::Error),
    /// A store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] crate::Error),
    /// A snapshot could not be packed.
    #[error("the snapshot could not be packed")]
    Pack(#[source] std::io::Error),
}

impl From<migrate::Error> for Error {
    fn from(error: migrate::Error) -> Self {
        match error {
            migrate::Error::Collecting { path, .. } => Self::Collecting(path),
            error => Self::Copy(error),
        }
    }
}

impl From<gc::Error> for Error {
    fn from(error: gc::Error) -> Self {
        match error {
            gc::Error::Snapshot { path, reason } => Self::Damaged { path, reason },
            gc::Error::Lost => Self::Lost,
            error => Self::Collector(error),
        }
    }
}

fn describe(wanted: &Option<SnapshotId>, first: &Option<SnapshotId>) -> String {
    match (wanted, first) {
        (Some(wanted), Some(first)) => format!("of {wanted} or before; the first is of {first}"),
        (Some(wanted), None) => format!("of {wanted} or before"),
        (None, _) => "in this store".to_owned(),
    }
}
