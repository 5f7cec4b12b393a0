//! Errors that end a collection.

use sampan_driver::DriverError;

/// The result of a step of a collection.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a collection did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another preview of a deletion takes longer than the caller waits.
    #[error("the registry is busy with another preview of a deletion; try again in a moment")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The lock expired, as it does when the process is halted for a while. The collection deletes nothing after that.
    #[error(
        "the collection lost its lock, because its process was halted or the store did not answer for too long; the next \
         collection deletes the rest"
    )]
    Lost,
    /// The registry failed to purge an upload.
    #[error(transparent)]
    Registry(#[from] crate::Error),
    /// Another collection is running in this store, or was killed a moment ago.
    #[error(
        "another collection is running in this store; if it was killed, its lock ({path}) expires in {seconds} s"
    )]
    Running {
        /// A file of the other collection.
        path: sampan_driver::DriverPath,
        /// How long the other collection still counts as alive, in seconds.
        seconds: u64,
    },
    /// A snapshot cannot be read, so it is unknown what it needs.
    #[error(
        "the snapshot {path} cannot be read, so nothing is deleted: {reason}; delete the file if it cannot be repaired"
    )]
    Snapshot {
        /// The file.
        path: sampan_driver::DriverPath,
        /// Why it cannot be read.
        reason: String,
    },
    /// The collection would delete most of the store, and was not confirmed.
    #[error(
        "nothing was deleted, because the collection would delete {} bytes of blobs, more than {} % of all; check with a dry \
         run whether that is right, and confirm it", .0.bytes, .0.percent
    )]
    TooMuch(super::TooMuch),
    /// A part of the store cannot be seen; during a collection it became so.
    #[error("{path} cannot be seen, so what it refers to is unknown: {reason}")]
    Unseen {
        /// Path of the part that cannot be seen.
        path: String,
        /// Why it cannot be seen.
        reason: String,
    },
    /// The collection was stopped before its end.
    #[error("the collection was stopped; the next collection deletes the rest")]
    Stopped,
}
