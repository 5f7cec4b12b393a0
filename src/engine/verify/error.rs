//! Errors that end a verification.

use sampan_driver::DriverError;

/// The result of a step of a verification.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verification did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The registry refused or failed.
    #[error(transparent)]
    Registry(#[from] crate::Error),
    /// The lock of the collections, which a repair needs, cannot be had.
    #[error(transparent)]
    Collector(#[from] crate::gc::Error),
    /// The content of the store, or a part of it, cannot be seen, so nothing can be said about it.
    #[error("{path} cannot be seen: {reason}")]
    Unseen {
        /// The path of that part.
        path: String,
        /// Why it cannot be seen.
        reason: String,
    },
}
