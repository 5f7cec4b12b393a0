//! `FillError`: why a fill failed.

use std::error::Error as StdError;
use std::sync::Arc;

use sampan_driver::{BoxError, DriverError, ErrorKind, Operation};

use crate::Error;
use crate::layout::Entry;
use crate::oci::Digest;

/// Why a fill failed, or its blob is not in the store. All clients of a fill get the same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FillError {
    /// The upstream failed, as its source says; see [`source_error`](Self::source_error).
    #[error("the upstream failed")]
    Source(#[source] SharedError),
    /// The upstream sent other content.
    #[error("the upstream sent content that hashes to {actual}, not {expected}")]
    Digest {
        /// The digest of the request.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The upstream sent more or fewer bytes than it announced, or than the manifest says.
    #[error("the upstream sent {received} bytes, but {expected} were announced")]
    Length {
        /// The announced length in bytes.
        expected: u64,
        /// The bytes that arrived; a lower bound if there are too many.
        received: u64,
    },
    /// The store did not take the blob. Readers get it nevertheless, as long as there is a spool.
    #[error("the blob was not stored: {0}")]
    Unstored(UnstoredReason, #[source] SharedError),
    /// The range begins beyond the end of the blob.
    #[error("the range begins beyond the {size_bytes} bytes of the blob")]
    RangeInvalid {
        /// The length of the blob in bytes.
        size_bytes: u64,
    },
    /// The transfer was given up: the registry is shutting down, too many transfers had no client, or it panicked.
    #[error("the transfer was stopped")]
    Stopped,
}

/// An error that several clients get.
pub(crate) type SharedError = Arc<dyn StdError + Send + Sync>;

/// Why a store did not take a blob.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UnstoredReason {
    /// The store has no space left.
    Full,
    /// The registry or its store is read-only.
    ReadOnly,
    /// The registry takes no content at the moment, such as when too little space is free.
    Refused,
    /// The caches have more than their bound, and it would become more still.
    Bound,
    /// A call of the store took longer than [`write_timeout`](crate::fill::FillOptions::write_timeout).
    Timeout,
    /// Any other failure.
    Failed,
}

impl FillError {
    pub(super) fn of_source(error: BoxError) -> Self {
        Self::Source(Arc::from(error))
    }

    pub(super) fn unstored(error: Error) -> Self {
        let reason = match &error {
            error if error.is_storage_full() => UnstoredReason::Full,
            Error::ReadOnly | Error::ReadOnlyStore(_) => UnstoredReason::ReadOnly,
            _ => UnstoredReason::Failed,
        };
        Self::Unstored(reason, Arc::new(error))
    }

    /// The source's error, if it is a `T`.
    pub fn source_error<T: StdError + 'static>(&self) -> Option<&T> {
        match self {
            Self::Source(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The error of a reader's stream.
    pub(super) fn in_stream(self, digest: &Digest) -> DriverError {
        let path = Entry::Blob(digest.clone()).path();
        DriverError::new(ErrorKind::Unavailable, "fill", Operation::Read, &path).with_source(self)
    }
}

impl UnstoredReason {
    /// All reasons, each at its index.
    pub const ALL: [Self; 6] =
        [Self::Full, Self::ReadOnly, Self::Refused, Self::Bound, Self::Timeout, Self::Failed];

    /// The reason as a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "readonly",
            Self::Refused => "refused",
            Self::Bound => "bound",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for UnstoredReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the store is full",
            Self::ReadOnly => "the registry is read-only",
            Self::Refused => "the registry takes no content at the moment, as `/debug/health` says",
            Self::Bound => "the caches have more than their `maxsize`",
            Self::Timeout => "the store took too long",
            Self::Failed => "the store failed",
        })
    }
}

/// The store was not asked to store the blob.
#[derive(Debug, thiserror::Error)]
#[error("the store was not asked to store it")]
pub(super) struct WriteNotStarted;

/// A call of the store took too long.
#[derive(Debug, thiserror::Error)]
#[error("the store did not answer within {0:?}")]
pub(super) struct StoreTimeout(pub(super) std::time::Duration);
