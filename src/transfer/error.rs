//! The errors of transfers.

use sampan_bundle::{BoxError, PlanProblem};
use sampan_client::ClientError;
use sampan_engine::oci::{Digest, RepositoryName};

/// The result of a transfer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle could not be read.
    #[error(transparent)]
    Bundle(#[from] sampan_bundle::Error),
    /// The plan contradicts itself.
    #[error("the bundle cannot be planned: {0}")]
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
    /// `--latest` met a repository without versions.
    #[error(
        "no tag of {0} that is selected is a version, so there is no latest one: select its tags instead"
    )]
    NoVersions(RepositoryName),
    /// An image cannot be exported.
    #[error("{image} cannot be exported: {problem}")]
    Image {
        /// The image.
        image: String,
        /// The problem.
        problem: String,
    },
    /// The target lacks content that the bundle presumes.
    #[error(
        "the registry lacks {} that the bundle presumes, the first is {}: export again with `--have` and the registry's \
         `registry inventory` or the receipt of its last import",
        amount(.0), .0[0]
    )]
    PresumedMissing(Vec<Digest>),
    /// A tag is there with another digest, and the policy is to fail.
    #[error("{repository}:{tag} is there already, with {present}: pass `--tags move` or `--tags keep`")]
    TagTaken {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: String,
        /// Its present digest.
        present: Digest,
    },
    /// A temporary file failed.
    #[error("the temporary file for manifests failed")]
    Spool(#[source] std::io::Error),
}

fn amount(digests: &[Digest]) -> String {
    match digests.len() {
        1 => "one blob".to_owned(),
        count => format!("{count} blobs"),
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
        match error.downcast::<ClientError>() {
            Ok(error) => Self::Registry(*error),
            Err(error) => Self::Other(error),
        }
    }

    /// Whether the bundle is damaged, rather than the machine or a registry.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Bundle(error) if error.is_damage())
    }
}
