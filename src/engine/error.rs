//! The errors of the registry, and the one place that gives the store's "not found" a meaning.

use sampan_driver::{BoxError, DriverError, DriverPath, ErrorKind};

use crate::oci::{Digest, ManifestProblem, Reference, RepositoryName, Tag};
use crate::upload::UploadId;

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an engine call failed. Exhaustive on purpose: the HTTP layer must map each new variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The blob is not in the repository.
    #[error("blob {0} is unknown to {1}")]
    BlobUnknown(Digest, RepositoryName),
    /// The collector is about to delete the content; the same call succeeds shortly after.
    #[error("{0} is being collected as garbage; try again in a moment")]
    Collecting(Digest),
    /// A deletion of the tag was cut short in an object store, which may still carry it out for a quarter of an hour. After
    /// that, a push of the tag succeeds.
    #[error(
        "a deletion of tag {1} of {0} was cut short, and the store may still carry it out; push the tag again in 15 minutes"
    )]
    TagBeingRemoved(RepositoryName, Tag),
    /// The tag exists and points at this digest, and the call was to leave it alone.
    #[error("tag {1} of {0} exists and points at {2}")]
    TagExists(RepositoryName, Tag, Digest),
    /// No removal of the tag is recorded.
    #[error("no removal of tag {1} of {0} is recorded: pass its digest as the last argument")]
    TagNotRemoved(RepositoryName, Tag),
    /// The client's body broke off or was unreadable.
    #[error("the request's body could not be read")]
    BodyBroken(#[source] BoxError),
    /// A stored file has invalid content.
    #[error("stored data is corrupt: {0}")]
    Corrupt(DriverPath, #[source] BoxError),
    /// A policy forbids the call.
    #[error("{0}")]
    Denied(String),
    /// The content does not match its digest.
    #[error("content hashes to {actual}, not {expected}")]
    DigestMismatch {
        /// The digest that the client sent.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The configuration disables the feature.
    #[error("{0} is not enabled")]
    Disabled(&'static str),
    /// The store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The bytes are not an acceptable manifest.
    #[error("manifest is invalid: {0}")]
    ManifestInvalid(ManifestProblem),
    /// The manifest refers to content that the repository lacks. The list is complete.
    #[error("manifest refers to missing content: {}", list(.0))]
    ManifestReferencesUnknown(Vec<Digest>),
    /// The manifest is not in the repository.
    #[error("manifest {0} is unknown to {1}")]
    ManifestUnknown(Reference, RepositoryName),
    /// The registry is read-only for now.
    #[error("the registry is in read-only mode")]
    ReadOnly,
    /// The store can never be written, for this reason.
    #[error("the registry is read-only: {0}")]
    ReadOnlyStore(&'static str),
    /// The repository does not exist: it never received a push.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName),
    /// The length of the body differs from the announced length.
    #[error("the body has {actual} bytes, but {expected} were announced")]
    SizeMismatch {
        /// The announced length.
        expected: u64,
        /// The received length; a lower bound when the body is too long.
        actual: u64,
    },
    /// The content exceeds a limit.
    #[error("{what} exceeds {limit} bytes")]
    TooLarge {
        /// The kind of content.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// Another request is writing the upload.
    #[error("upload {0} is being written by another request")]
    UploadBusy(UploadId),
    /// The chunk does not begin at the end of the upload.
    #[error("upload has {expected} bytes, but the chunk begins at {got}")]
    UploadOutOfOrder {
        /// The length of the upload in bytes.
        expected: u64,
        /// The offset of the chunk.
        got: u64,
    },
    /// The upload does not exist.
    #[error("upload {0} is unknown")]
    UploadUnknown(UploadId),
}

impl Error {
    /// Whether the store has no space left.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, Self::Driver(error) if error.kind() == ErrorKind::StorageFull)
    }

    /// Whether one file of the store cannot be read, and others may be: it is damaged, or the store denies it or fails there.
    pub fn is_of_one_file(&self) -> bool {
        match self {
            Self::Corrupt(..) => true,
            Self::Driver(error) => matches!(error.kind(), ErrorKind::Other | ErrorKind::PermissionDenied),
            _ => false,
        }
    }

    /// Whether the same call may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Collecting(_) | Self::TagBeingRemoved(..) => true,
            Self::Driver(error) => matches!(error.kind(), ErrorKind::Busy | ErrorKind::Unavailable),
            _ => false,
        }
    }
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Gives a missing file its meaning at the call that knows it. `?` alone turns every `DriverError` into [`Error::Driver`].
pub(crate) trait OnMissing<T> {
    /// Returns the error `unknown` when the store lacks the file.
    fn on_missing(self, unknown: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnMissing<T> for sampan_driver::Result<T> {
    fn on_missing(self, unknown: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| if error.is_not_found() { unknown() } else { Error::Driver(error) })
    }
}
