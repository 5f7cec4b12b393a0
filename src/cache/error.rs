//! `CacheError`: why a cache has no answer.

use std::sync::Arc;
use std::time::Duration;

use sampan_client::{ClientError, Problem};
use sampan_engine::oci::{Digest, Reference, RepositoryName};

/// Why a cache has no answer. Requests that waited for the same transfer share it. Its text is for clients: it names the
/// upstream as the configuration does, and no address; the log has the cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The upstream does not have the manifest, or does not show it.
    #[error("manifest {0} is unknown to {1}")]
    ManifestUnknown(Reference, RepositoryName),
    /// The upstream does not have the blob, or does not show it.
    #[error("blob {0} is unknown to {1}")]
    BlobUnknown(Digest, RepositoryName),
    /// The upstream does not have the repository, or does not show it.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName),
    /// The upstream may not be asked, and the store does not have it.
    #[error("this registry is offline, and has not cached it")]
    Offline,
    /// The configuration does not allow the repository.
    #[error("upstream {upstream} is not to be asked for {name}")]
    NotAllowed {
        /// The upstream's name.
        upstream: String,
        /// The repository there.
        name: String,
    },
    /// The upstream refuses the configured account.
    #[error("upstream {upstream} refuses the configured account")]
    Refused {
        /// The upstream's name.
        upstream: String,
    },
    /// The upstream's rate limit is reached.
    #[error("upstream {upstream} gets too many requests from this registry")]
    RateLimited {
        /// The upstream's name.
        upstream: String,
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// The upstream cannot be reached or fails.
    #[error("upstream {upstream} {reason}, and this registry has not cached it")]
    Away {
        /// The upstream's name.
        upstream: String,
        /// What it does, as the end of a sentence.
        reason: String,
        /// Whether it was too slow, rather than broken.
        timed_out: bool,
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// The upstream's answer cannot be used.
    #[error("the answer of upstream {upstream} cannot be used: {reason}")]
    Wrong {
        /// The upstream's name.
        upstream: String,
        /// The fault.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Engine(Arc<sampan_engine::Error>),
    /// The work was stopped: the registry shuts down.
    #[error("the registry is shutting down")]
    Stopped,
}

/// The result of a cache's call.
pub type Result<T, E = CacheError> = std::result::Result<T, E>;

impl From<sampan_engine::Error> for CacheError {
    fn from(error: sampan_engine::Error) -> Self {
        use sampan_engine::Error;
        match error {
            Error::ManifestUnknown(reference, name) => Self::ManifestUnknown(reference, name),
            Error::BlobUnknown(digest, name) => Self::BlobUnknown(digest, name),
            Error::RepositoryUnknown(name) => Self::RepositoryUnknown(name),
            error => Self::Engine(Arc::new(error)),
        }
    }
}

/// What a failed request to an upstream means.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The content is not there, or not shown to an anonymous client: Docker Hub says 401 of what does not exist.
    Missing,
    /// The account is refused.
    Refused,
    /// Too many requests.
    Limited(Duration),
    /// Away or failing.
    Away { reason: String, timed_out: bool },
    /// Not to be used.
    Wrong(String),
}

/// The wait to suggest where the upstream suggests none.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);
/// The longest wait to suggest to clients, whatever the upstream says.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

impl Verdict {
    pub(crate) fn of(error: &ClientError, has_account: bool) -> Self {
        let away = |reason: &str, timed_out| Self::Away { reason: reason.to_owned(), timed_out };
        match error.problem() {
            Problem::NotFound(_) => Self::Missing,
            Problem::LoginRequired | Problem::LoginRefused { .. } | Problem::Denied(_) => match has_account {
                true => Self::Refused,
                false => Self::Missing,
            },
            Problem::TooManyRequests { retry_after } => Self::limited(*retry_after),
            Problem::Connect(_) => away("cannot be reached", false),
            Problem::Certificate(_) => away("has a certificate that is not trusted", false),
            Problem::ClientCertificate(_) => away("wants another client certificate", false),
            Problem::Timeout(_) | Problem::TooSlow(_) => away("does not answer in time", true),
            Problem::Broken(_) => away("breaks connections", false),
            Problem::Status { status, .. } if *status >= 500 => {
                Self::Away { reason: format!("responds with status {status}"), timed_out: *status == 504 }
            }
            Problem::TokenServer { status: 429, retry_after, .. } => Self::limited(*retry_after),
            Problem::TokenServer { .. } => away("has a token server that fails", false),
            Problem::Credentials(_) => away("has an account whose credentials cannot be read", false),
            Problem::Status { status, .. } => Self::Wrong(format!("it responds with status {status}")),
            Problem::Digest { .. } => Self::Wrong("its content does not have its digest".to_owned()),
            Problem::Length { .. } => Self::Wrong("its content does not have its length".to_owned()),
            Problem::TooLarge { what, limit } => Self::Wrong(format!("{what} exceeds the limit of {limit}")),
            Problem::Schema1 => Self::Wrong("it is of Docker's schema 1, which is not supported".to_owned()),
            Problem::Realm { reason, .. } => {
                Self::Wrong(format!("its token server must not get the credentials: {reason}"))
            }
            Problem::Redirect { reason, .. } => Self::Wrong(format!("it refers to another server: {reason}")),
            Problem::Protocol(_) | Problem::Source(_) | Problem::UploadLost => {
                Self::Wrong("it is not as the specification says".to_owned())
            }
        }
    }

    fn limited(retry_after: Option<Duration>) -> Self {
        Self::Limited(retry_after.unwrap_or(RATE_LIMIT_WAIT).min(LONGEST_WAIT))
    }

    /// Whether what is stored may be served in place of an answer.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Limited(_) | Self::Away { .. } | Self::Wrong(_))
    }

    /// The error for a client, where nothing is stored. `missing` is the one for what does not exist.
    pub(crate) fn into_error(self, upstream: &str, missing: impl FnOnce() -> CacheError) -> CacheError {
        let upstream = upstream.to_owned();
        match self {
            Self::Missing => missing(),
            Self::Refused => CacheError::Refused { upstream },
            Self::Limited(retry_after) => CacheError::RateLimited { upstream, retry_after },
            Self::Away { reason, timed_out } => {
                CacheError::Away { upstream, reason, timed_out, retry_after: RETRY_AFTER }
            }
            Self::Wrong(reason) => CacheError::Wrong { upstream, reason },
        }
    }
}
