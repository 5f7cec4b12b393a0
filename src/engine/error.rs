//! What goes wrong in a registry, in its own words; and the one place where "not found in the store" gains a meaning.

use sampan_driver::{BoxError, DriverError, DriverPath};

use crate::oci::{Digest, ManifestProblem, Reference, RepositoryName, Tag};
use crate::upload::UploadId;

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an engine call did not succeed. Exhaustive on purpose: a new variant must find its place in the HTTP layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The blob is not in the repository.
    #[error("blob {0} is unknown to {1}")]
    BlobUnknown(Digest, RepositoryName),
    /// The content is about to be collected as garbage; the same call will succeed a moment later.
    #[error("{0} is being collected as garbage; try again in a moment")]
    Collecting(Digest),
    /// A deletion of the tag was cut short in an object store, and may still be carried out for a quarter of an hour; the tag can be
    /// pushed then.
    #[error(
        "a deletion of tag {1} of {0} was cut short, and the store may still carry it out; push the tag again in 15 minutes"
    )]
    TagBeingRemoved(RepositoryName, Tag),
    /// The client's body broke off or could not be read.
    #[error("the request's body could not be read")]
    BodyBroken(#[source] BoxError),
    /// A stored file is not what it must be.
    #[error("stored data is corrupt: {0}")]
    Corrupt(DriverPath, #[source] BoxError),
    /// A policy forbids it.
    #[error("{0}")]
    Denied(String),
    /// The content is not what its digest says.
    #[error("content hashes to {actual}, not {expected}")]
    DigestMismatch {
        /// What the client said.
        expected: Digest,
        /// What the bytes are.
        actual: Digest,
    },
    /// Switched off in the configuration.
    #[error("{0} is not enabled")]
    Disabled(&'static str),
    /// The store failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The bytes are not a manifest that can be kept.
    #[error("manifest is invalid: {0}")]
    ManifestInvalid(ManifestProblem),
    /// The manifest refers to content that is not in the repository: all that is missing.
    #[error("manifest refers to missing content: {}", list(.0))]
    ManifestReferencesUnknown(Vec<Digest>),
    /// The manifest is not in the repository.
    #[error("manifest {0} is unknown to {1}")]
    ManifestUnknown(Reference, RepositoryName),
    /// Nothing can be written for the time being.
    #[error("the registry is in read-only mode")]
    ReadOnly,
    /// Nothing was ever pushed to the repository.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName),
    /// The body is longer or shorter than announced.
    #[error("the body has {actual} bytes, but {expected} were announced")]
    SizeMismatch {
        /// What the client said.
        expected: u64,
        /// What came; at least so much when it was too long.
        actual: u64,
    },
    /// Larger than allowed.
    #[error("{what} exceeds {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// Another request is writing the upload.
    #[error("upload {0} is being written by another request")]
    UploadBusy(UploadId),
    /// The chunk does not begin where the upload ends.
    #[error("upload has {expected} bytes, but the chunk begins at {got}")]
    UploadOutOfOrder {
        /// How many bytes the upload has.
        expected: u64,
        /// Where the chunk begins.
        got: u64,
    },
    /// There is no such upload.
    #[error("upload {0} is unknown")]
    UploadUnknown(UploadId),
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Gives a missing file its meaning, at the call that knows it. `?` alone makes every `DriverError` an [`Error::Driver`].
pub(crate) trait OnMissing<T> {
    /// The error `unknown` when the store has no such file.
    fn on_missing(self, unknown: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnMissing<T> for sampan_driver::Result<T> {
    fn on_missing(self, unknown: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| if error.is_not_found() { unknown() } else { Error::Driver(error) })
    }
}
