//! `DriverError`: a failed storage operation.
//!
//! One struct with a kind, so that callers compare kinds, and the context (driver, operation, path, cause) is
//! in one place (C14).

use std::error::Error as StdError;
use std::fmt;

use crate::DriverPath;

/// The result of a storage operation.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;

/// A cause of any type.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A failed storage operation: the driver, the operation, the path, the kind of failure and its cause.
#[derive(Debug, thiserror::Error)]
#[error("{driver}: {operation} {path}: {kind}")]
pub struct DriverError {
    kind: ErrorKind,
    driver: &'static str,
    operation: Operation,
    path: DriverPath,
    #[source]
    source: Option<BoxError>,
}

impl DriverError {
    /// An error of `kind` without a cause.
    pub fn new(kind: ErrorKind, driver: &'static str, operation: Operation, path: &DriverPath) -> Self {
        Self { kind, driver, operation, path: path.clone(), source: None }
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The name of the driver, see [`StorageDriver::name`](crate::StorageDriver::name).
    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// The failed operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The file or directory of the operation.
    pub fn path(&self) -> &DriverPath {
        &self.path
    }

    /// Whether the operation certainly has no further effect. After any other error the store may still
    /// execute it, for instance because a request was sent and its response did not arrive.
    pub fn is_settled(&self) -> bool {
        match self.kind {
            ErrorKind::AlreadyExists
            | ErrorKind::Busy
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::RangeInvalid
            | ErrorKind::TooLate
            | ErrorKind::Unseen
            | ErrorKind::Unsupported => true,
            ErrorKind::Other | ErrorKind::StorageFull | ErrorKind::Unavailable => false,
        }
    }

    /// Whether the file does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

/// Kinds of failure that a caller may handle differently.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// [`PutMode::Create`](crate::PutMode::Create) found an existing file.
    AlreadyExists,
    /// Another writer, perhaps of another process, has the staged file. The store is well, and the operation had no effect.
    Busy,
    /// The file does not exist.
    NotFound,
    /// Any other failure; the source has details.
    Other,
    /// The store denies access to these credentials or this user.
    PermissionDenied,
    /// The range starts beyond the end of the file.
    RangeInvalid,
    /// The store has no space left; nothing was published.
    StorageFull,
    /// The deadline passed before the operation started. It had no effect.
    TooLate,
    /// The store is unreachable or overloaded; the same call may succeed later.
    Unavailable,
    /// A walk cannot read the content at or below this place: a directory without permission, a dangling
    /// link, or one that leads out of the store. The walk continues after it. Callers must not assume that
    /// the content is absent.
    Unseen,
    /// The driver does not support the operation.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "already exists",
            Self::Busy => "in use by another writer",
            Self::NotFound => "not found",
            Self::Other => "unexpected error",
            Self::PermissionDenied => "permission denied",
            Self::RangeInvalid => "range begins beyond the end",
            Self::StorageFull => "no space left in the store",
            Self::TooLate => "too late",
            Self::Unavailable => "store unavailable",
            Self::Unseen => "the content is not visible",
            Self::Unsupported => "not supported",
        })
    }
}

/// The operations of [`StorageDriver`](crate::StorageDriver) and [`FileWriter`](crate::FileWriter), for
/// errors and metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(missing_docs, reason = "each is named after its method")]
pub enum Operation {
    Build,
    Cancel,
    Check,
    Close,
    Commit,
    Delete,
    DeleteAll,
    DeleteTree,
    GetContent,
    List,
    PutAll,
    PutContent,
    Read,
    Reader,
    RedirectUrl,
    Rename,
    Revert,
    Stat,
    SyncDeletions,
    Walk,
    Write,
    Writer,
}

impl Operation {
    /// The name in snake case, as error messages show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Cancel => "cancel",
            Self::Check => "check",
            Self::Close => "close",
            Self::Commit => "commit",
            Self::Delete => "delete",
            Self::DeleteAll => "delete_all",
            Self::DeleteTree => "delete_tree",
            Self::GetContent => "get_content",
            Self::List => "list",
            Self::PutAll => "put_all",
            Self::PutContent => "put_content",
            Self::Read => "read",
            Self::Reader => "reader",
            Self::RedirectUrl => "redirect_url",
            Self::Rename => "rename",
            Self::Revert => "revert",
            Self::Stat => "stat",
            Self::SyncDeletions => "sync_deletions",
            Self::Walk => "walk",
            Self::Write => "write",
            Self::Writer => "writer",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_response_is_not_settled() {
        let error = |kind| DriverError::new(kind, "test", Operation::DeleteAll, &DriverPath::root());
        assert!(error(ErrorKind::TooLate).is_settled());
        assert!(!error(ErrorKind::Unavailable).is_settled());
    }

    #[test]
    fn an_error_names_driver_operation_and_path_and_keeps_its_source() {
        let path = "/a/b".parse().unwrap();
        let error = DriverError::new(ErrorKind::PermissionDenied, "filesystem", Operation::Stat, &path)
            .with_source(std::io::Error::other("cause"));
        assert_eq!(error.to_string(), "filesystem: stat /a/b: permission denied");
        assert_eq!(error.source().unwrap().to_string(), "cause");
    }
}
