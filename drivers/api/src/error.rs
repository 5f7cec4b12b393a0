//! What goes wrong in a store.
//!
//! One struct with a kind, so that callers compare kinds and the context (driver, operation, path, cause) has one home (C14).

use std::error::Error as StdError;
use std::fmt;

use crate::DriverPath;

/// The result of a storage operation.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;

/// A cause of any type.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A storage operation that did not succeed: what was tried, where, by whom, and why it failed.
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
    /// An error of `kind` without a further cause.
    pub fn new(kind: ErrorKind, driver: &'static str, operation: Operation, path: &DriverPath) -> Self {
        Self { kind, driver, operation, path: path.clone(), source: None }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The driver that failed, as [`StorageDriver::name`](crate::StorageDriver::name) has it.
    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// What was tried.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The file or directory that it was tried on.
    pub fn path(&self) -> &DriverPath {
        &self.path
    }

    /// Whether it is certain that the operation has had all the effect that it will ever have. After any other error the store may
    /// still carry it out, for instance because a request was sent and its answer did not come.
    pub fn is_settled(&self) -> bool {
        match self.kind {
            ErrorKind::AlreadyExists
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::RangeInvalid
            | ErrorKind::TooLate
            | ErrorKind::Unseen
            | ErrorKind::Unsupported => true,
            ErrorKind::Other | ErrorKind::StorageFull | ErrorKind::Unavailable => false,
        }
    }

    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

/// The sorts of failure that a caller may treat differently.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// [`PutMode::Create`](crate::PutMode::Create) found the file already there.
    AlreadyExists,
    /// There is no such file.
    NotFound,
    /// Anything else; the source says what.
    Other,
    /// The store refuses these credentials or this user.
    PermissionDenied,
    /// The range begins beyond the end of the file.
    RangeInvalid,
    /// The store has no room left; nothing was published.
    StorageFull,
    /// The deadline had passed before the operation began. Nothing was done.
    TooLate,
    /// The store cannot be reached or is overloaded; the same call may succeed later.
    Unavailable,
    /// A walk cannot see what is at or below this place: a directory that it must not read, a link to nothing or out of the
    /// store. It goes on behind it. What is not seen may be there, so nobody may take it for absent.
    Unseen,
    /// The driver cannot do this at all.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "already exists",
            Self::NotFound => "not found",
            Self::Other => "unexpected error",
            Self::PermissionDenied => "permission denied",
            Self::RangeInvalid => "range begins beyond the end",
            Self::StorageFull => "no space left in the store",
            Self::TooLate => "too late",
            Self::Unavailable => "store unavailable",
            Self::Unseen => "what is there cannot be seen",
            Self::Unsupported => "not supported",
        })
    }
}

/// The operations of [`StorageDriver`](crate::StorageDriver) and [`FileWriter`](crate::FileWriter), for errors and metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(missing_docs, reason = "each is named after the method it stands for")]
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
    /// The name in snake case, as error messages have it.
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
    fn a_request_without_an_answer_is_not_settled() {
        let error = |kind| DriverError::new(kind, "test", Operation::DeleteAll, &DriverPath::root());
        assert!(error(ErrorKind::TooLate).is_settled());
        assert!(!error(ErrorKind::Unavailable).is_settled());
    }

    #[test]
    fn an_error_says_who_did_what_where_and_keeps_why() {
        let path = "/a/b".parse().unwrap();
        let error = DriverError::new(ErrorKind::PermissionDenied, "filesystem", Operation::Stat, &path)
            .with_source(std::io::Error::other("cause"));
        assert_eq!(error.to_string(), "filesystem: stat /a/b: permission denied");
        assert_eq!(error.source().unwrap().to_string(), "cause");
    }
}
