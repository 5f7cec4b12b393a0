//! The errors of transfers.

use sampan_bundle::{BoxError, PlanProblem};
use sampan_client::{ClientError, Problem};
use sampan_driver::{DriverError, HumanSize};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::{Digest, RepositoryName};

use crate::{Missing, MissingFrom};

/// The result of a transfer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle could not be read.
    #[error(transparent)]
    Bundle(#[from] sampan_bundle::Error),
    /// A file of another tool could not be read.
    #[error(transparent)]
    Foreign(#[from] sampan_foreign::Error),
    /// The plan contradicts itself.
    #[error("cannot plan the bundle: {0}")]
    Plan(#[from] PlanProblem),
    /// A registry failed.
    #[error(transparent)]
    Store(#[from] sampan_engine::Error),
    /// A request to a registry failed.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// A registry has no list of its repositories.
    #[error("{0} has no catalog: name the repositories without patterns")]
    NoCatalog(String),
    /// A registry failed otherwise.
    #[error("{0}")]
    Other(#[source] BoxError),
    /// A selector matched nothing.
    #[error("nothing matches `{0}`")]
    NoMatch(String),
    /// The API does not say when a tag was set.
    #[error(
        "the API of a registry does not tell when a tag was set: pass the configuration of its store instead"
    )]
    NoTagTimes,
    /// `--latest` met a repository without versions.
    #[error(
        "no tag of {0} that is selected is a version, so there is no latest one: select its tags instead"
    )]
    NoVersions(RepositoryName),
    /// All selected images are of other platforms.
    #[error("none of the selected images is for {0}")]
    NoPlatform(String),
    /// An image cannot be transferred.
    #[error("{image} cannot be transferred: {problem}")]
    Image {
        /// The image.
        image: String,
        /// The problem.
        problem: String,
    },
    /// The target lacks content that the bundle presumes.
    #[error("{}", lacks(.0))]
    PresumedMissing(Missing),
    /// The file system of the target is too small for the bundle.
    #[error(
        "the file system of the store has {} free, and the bundle needs {}: make room for {} more, or import a part with `--only`",
        HumanSize(*.free_bytes), HumanSize(*.needed_bytes), HumanSize(.needed_bytes - .free_bytes)
    )]
    NoSpace {
        /// The bytes that the target lacks of the bundle.
        needed_bytes: u64,
        /// The bytes that may still be written.
        free_bytes: u64,
    },
    /// The target is full.
    #[error(
        "the store is full, and up to {} of the bundle are still to be stored: make room, and repeat the command; whatever was \
         imported stays",
        HumanSize(*.left_bytes)
    )]
    Full {
        /// The bytes of the bundle that are not stored yet, as far as they are known.
        left_bytes: u64,
        /// The error of the store.
        #[source]
        source: DriverError,
    },
    /// The bundle does not say which tags its repositories had.
    #[error(
        "{0}, so no tag can be taken for removed: prune with a bundle of all tags of a repository, exported without \
         `--exclude`, `--platform`, `--latest`, `--since`, `--no-referrers` and `--have`"
    )]
    NotComplete(String),
    /// Tags cannot be removed.
    #[error("tags of the registry cannot be removed: {0}")]
    NoDeletion(String),
    /// A tag is there with another digest, and the policy is to fail.
    #[error("{repository}:{tag} exists already and points at {present}: pass `--tags move` or `--tags keep`")]
    TagTaken {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: String,
        /// Its present digest.
        present: Digest,
    },
    /// A temporary file failed.
    #[error(
        "the temporary file for manifests in {} failed: set TMPDIR to a directory with room that can be written to",
        .directory.display()
    )]
    Spool {
        /// The directory of temporary files.
        directory: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

fn lacks(missing: &Missing) -> String {
    let (count, first) = (missing.contents.len(), &missing.contents[0]);
    match missing.supplement {
        MissingFrom::Export => {
            let amount = if count == 1 { "one blob".to_owned() } else { format!("{count} blobs") };
            format!(
                "the registry lacks {amount} that the bundle presumes, the first is {first}: export again with `--have` and \
                 the registry's `registry inventory` or the receipt of its last import"
            )
        }
        MissingFrom::EarlierArchive => {
            let amount = if count == 1 {
                "one blob or manifest".to_owned()
            } else {
                format!("{count} blobs or manifests")
            };
            format!(
                "the registry lacks {amount} that an earlier archive had, the first is {first}: import the earlier archives \
                 first, or all of them at once"
            )
        }
    }
}

impl Error {
    /// The error of a stream of content, as it was before the stream boxed it.
    pub(crate) fn content(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let error = match error.downcast::<sampan_bundle::Error>() {
            Ok(error) => return Self::Bundle(*error),
            Err(error) => error,
        };
        let error = match error.downcast::<sampan_foreign::Error>() {
            Ok(error) => return Self::Foreign(*error),
            Err(error) => error,
        };
        match error.downcast::<ClientError>() {
            Ok(error) => Self::Registry(*error),
            Err(error) => Self::Other(error),
        }
    }

    /// Whether the registry has lost the upload of a blob, so that only the whole content makes another one.
    pub(crate) fn is_lost_upload(&self) -> bool {
        matches!(self, Self::Registry(error) if matches!(error.problem(), Problem::UploadLost))
    }

    /// Whether the error concerns one image: other images may still be imported.
    pub fn is_of_image(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_damage(),
            Self::Foreign(error) => error.is_damage(),
            Self::Store(error) => !matches!(
                error,
                EngineError::Driver(_) | EngineError::ReadOnly | EngineError::ReadOnlyStore(_)
            ),
            Self::Registry(error) => {
                matches!(error.status(), Some(400 | 404 | 413 | 422))
                    || matches!(
                        error.problem(),
                        Problem::Digest { .. } | Problem::Length { .. } | Problem::UploadLost
                    )
            }
            Self::Image { .. } => true,
            _ => false,
        }
    }

    /// Whether the bundle is damaged, rather than the machine or a registry.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_damage(),
            Self::Foreign(error) => error.is_damage(),
            _ => false,
        }
    }
}
