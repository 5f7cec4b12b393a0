//! What ends a collection.

use sampan_driver::DriverError;

/// The result of a step of a collection.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a collection did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The lock ran out, as happens to a process that was stopped for a while. Nothing is deleted after that.
    #[error(
        "the collection was silent for too long, because its process was stopped or the store did not answer, so it is over; \
         the next one goes on with the rest"
    )]
    Lost,
    /// The registry failed to purge an upload.
    #[error(transparent)]
    Registry(#[from] crate::Error),
    /// Another collection is going on in this store, or has died a moment ago.
    #[error(
        "another collection is going on in this store; if it was killed, its lock ({path}) runs out in {seconds} s"
    )]
    Running {
        /// The file that says so.
        path: sampan_driver::DriverPath,
        /// How long it is to be believed.
        seconds: u64,
    },
    /// Most of the store would go, and nobody has confirmed that.
    #[error(
        "nothing was deleted, because {} bytes of blobs would go, more than {} % of all; look with a dry run whether that is \
         right, and confirm it", .0.bytes, .0.percent
    )]
    TooMuch(super::TooMuch),
    /// A part of the store has become invisible while it was being collected.
    #[error("{path} cannot be seen any more, so nothing more is deleted: {reason}")]
    Unseen {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// It was told to stop.
    #[error("the collection was stopped; what it has deleted was garbage, the rest is left to the next one")]
    Stopped,
}
