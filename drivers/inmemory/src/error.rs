//! The store's errors, and their only conversion to [`DriverError`].

use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation};

use crate::driver::NAME;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the file does not exist")]
    NotFound,
    #[error("the file already exists")]
    AlreadyExists,
    #[error("the file has {size_bytes} bytes")]
    RangeInvalid { size_bytes: u64 },
    #[error(
        "the store is limited to {limit_bytes} bytes; raise storage.inmemory.maxsize or delete something"
    )]
    Full { limit_bytes: u64 },
    #[error("{0} is a file, so nothing can be below it")]
    BelowFile(DriverPath),
    #[error("there are files below it, so it cannot be a file")]
    AboveFiles,
    #[error("the deadline has passed")]
    TooLate,
    #[error("another writer closed the staged file meanwhile")]
    Overtaken,
}

impl Error {
    pub(crate) fn at(self, operation: Operation, path: &DriverPath) -> DriverError {
        let kind = match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::AlreadyExists => ErrorKind::AlreadyExists,
            Self::RangeInvalid { .. } => ErrorKind::RangeInvalid,
            Self::Full { .. } => ErrorKind::StorageFull,
            Self::TooLate => ErrorKind::TooLate,
            Self::BelowFile(_) | Self::AboveFiles | Self::Overtaken => ErrorKind::Other,
        };
        DriverError::new(kind, NAME, operation, path).with_source(self)
    }
}
