//! `CacheError`: why a cache has no answer.

use std::sync::Arc;
use std::time::Duration;

use sampan_client::{ClientError, Problem};
use sampan_engine::oci::{Digest, Reference, RepositoryName};

use crate::handling::Handling;

/// Why a cache has no answer. Requests that waited for the same transfer share it. Its text is for clients: it names the
/// upstream as the configuration does, and no address; the log has the cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The upstream does not have the manifest, or does not show it.
    #[error("manifest {0} is unknown to {1}")]
    ManifestUnknown(Reference, RepositoryName, Handling),
    /// The upstream does not have the blob, or does not show it.
    #[error("blob {0} is unknown to {1}")]
    BlobUnknown(Digest, RepositoryName, Handling),
    /// The upstream does not have the repository, or does not show it.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName, Handling),
    /// The upstream may not be asked, and the store does not have it.
    #[error("this registry is offline, and has not cached it")]
    Offline,
    /// The configuration does not allow the repository.
    #[error("upstream {upstream} is not configured to be asked for {name}")]
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
        /// How the request was handled.
        handling: Handling,
    },
    /// The upstream's rate limit is reached.
    #[error("upstream {upstream} receives too many requests from this registry")]
    RateLimited {
        /// The upstream's name.
        upstream: String,
        /// When it may be asked again.
        retry_after: Duration,
        /// How the request was handled.
        handling: Handling,
    },
    /// The upstream cannot be reached or fails.
    #[error("upstream {upstream} {reason}, and this registry has not cached it")]
    Away {
        /// The upstream's name.
        upstream: String,
        /// The fault of the upstream, as the end of a sentence.
        reason: String,
        /// Whether it was too slow, rather than broken.
        timed_out: bool,
        /// When it may be asked again.
        retry_after: Duration,
        /// How the request was handled.
        handling: Handling,
        /// The failed request, unless the upstream was left alone. Not for clients.
        #[source]
        cause: Option<ClientError>,
    },
    /// The upstream's answer cannot be used.
    #[error("the answer of upstream {upstream} cannot be used: {reason}")]
    Wrong {
        /// The upstream's name.
        upstream: String,
        /// The fault.
        reason: String,
        /// How the request was handled.
        handling: Handling,
        /// The failed request, where there is one. Not for clients.
        #[source]
        cause: Option<ClientError>,
    },
    /// The store failed.
    #[error(transparent)]
    Engine(Arc<sampan_engine::Error>),
    /// The content was fetched but not stored. Clients that pull it get it; a completion reports the error.
    #[error("it could not be stored: {0}")]
    NotStored(String),
    /// The work was stopped: the registry shuts down.
    #[error("the registry is shutting down")]
    Stopped,
}

/// The result of a cache's call.
pub type Result<T, E = CacheError> = std::result::Result<T, E>;

impl CacheError {
    /// How the request was handled.
    pub fn handling(&self) -> Handling {
        match self {
            Self::ManifestUnknown(_, _, handling)
            | Self::BlobUnknown(_, _, handling)
            | Self::RepositoryUnknown(_, handling)
            | Self::Refused { handling, .. }
            | Self::RateLimited { handling, .. }
            | Self::Away { handling, .. }
            | Self::Wrong { handling, .. } => *handling,
            Self::Offline => Handling::OFFLINE,
            Self::NotAllowed { .. } => Handling::NOT_ALLOWED,
            Self::Engine(_) | Self::NotStored(_) => Handling::STORE_FAILED,
            Self::Stopped => Handling::STOPPED,
        }
    }

    /// The same where something is stored that may not be served.
    pub(crate) fn with_stored(mut self, is_stored: bool) -> Self {
        match &mut self {
            Self::ManifestUnknown(_, _, handling)
            | Self::BlobUnknown(_, _, handling)
            | Self::RepositoryUnknown(_, handling)
            | Self::Refused { handling, .. }
            | Self::RateLimited { handling, .. }
            | Self::Away { handling, .. }
            | Self::Wrong { handling, .. } => *handling = handling.with_stored(is_stored),
            Self::Offline
            | Self::NotAllowed { .. }
            | Self::Engine(_)
            | Self::NotStored(_)
            | Self::Stopped => {}
        }
        self
    }
}

impl From<sampan_engine::Error> for CacheError {
    fn from(error: sampan_engine::Error) -> Self {
        use sampan_engine::Error;
        match error {
            Error::ManifestUnknown(reference, name) => {
                Self::ManifestUnknown(reference, name, Handling::NOT_STORED)
            }
            Error::BlobUnknown(digest, name) => Self::BlobUnknown(digest, name, Handling::NOT_STORED),
            Error::RepositoryUnknown(name) => Self::RepositoryUnknown(name, Handling::NOT_STORED),
            error => Self::Engine(Arc::new(error)),
        }
    }
}

/// The meaning of a failed request to an upstream.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The content is not there, or not shown to an anonymous client: Docker Hub says 401 of what does not exist.
    Missing(Handling),
    /// The account is refused.
    Refused(Handling),
    /// Too many requests.
    Limited(Duration, Handling),
    /// The upstream is away or failing.
    Away { reason: String, timed_out: bool, handling: Handling, cause: Option<ClientError> },
    /// The answer cannot be used.
    Wrong { reason: String, handling: Handling, cause: ClientError },
}

/// The wait to suggest where the upstream suggests none.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);
/// The longest wait to suggest to clients, whatever the upstream says.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

impl Verdict {
    pub(crate) fn of(error: &ClientError) -> Self {
        let handling = Handling::of(error);
        let away = |reason: &str, timed_out| {
            let (reason, cause) = (reason.to_owned(), Some(error.clone()));
            Self::Away { reason, timed_out, handling, cause }
        };
        let wrong = |reason: &str| Self::Wrong { reason: reason.to_owned(), handling, cause: error.clone() };
        let limited = |retry_after: &Option<Duration>| {
            Self::Limited(retry_after.unwrap_or(RATE_LIMIT_WAIT).min(LONGEST_WAIT), handling)
        };
        match error.problem() {
            Problem::NotFound(_) => Self::Missing(handling),
            Problem::LoginRequired | Problem::LoginRefused { .. } | Problem::Denied(_) => {
                match error.is_refused_without_account() {
                    true => Self::Missing(handling),
                    false => Self::Refused(handling),
                }
            }
            Problem::TooManyRequests { retry_after } => limited(retry_after),
            Problem::Connect(_) => away("cannot be reached", false),
            Problem::Certificate(_) => away("has a certificate that is not trusted", false),
            Problem::ClientCertificate(_) => away("wants another client certificate", false),
            Problem::Timeout(_) | Problem::TooSlow(_) => away("does not answer in time", true),
            Problem::Broken(_) => away("breaks connections", false),
            Problem::Status { status, .. } if *status >= 500 => {
                away(&format!("responds with status {status}"), *status == 504)
            }
            Problem::SlowToken(_) => away("has a token server that does not answer in time", true),
            Problem::TokenServer { status: 429, retry_after, .. } => limited(retry_after),
            Problem::TokenServer { .. } => away("has a token server that fails", false),
            Problem::Credentials(_) => away("has an account whose credentials cannot be read", false),
            Problem::Status { status, .. } => wrong(&format!("it responds with status {status}")),
            Problem::Digest { .. } => wrong("its content does not have its digest"),
            Problem::Length { .. } => wrong("its content does not have its length"),
            Problem::TooLarge { what, limit } => wrong(&format!("{what} exceeds the limit of {limit}")),
            Problem::Schema1 => wrong("it is of Docker's schema 1, which is not supported"),
            Problem::Realm { reason, .. } => {
                wrong(&format!("its token server must not get the credentials: {reason}"))
            }
            Problem::Redirect { reason, .. } => wrong(&format!("it refers to another server: {reason}")),
            Problem::Protocol(_) | Problem::Source(_) | Problem::UploadLost => {
                wrong("it is not as the specification says")
            }
        }
    }

    /// Whether what is stored may be served in place of an answer.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Limited(..) | Self::Away { .. } | Self::Wrong { .. })
    }

    /// The error for a client, where nothing is stored. `missing` is the one for what does not exist.
    pub(crate) fn into_error(
        self,
        upstream: &str,
        missing: impl FnOnce(Handling) -> CacheError,
    ) -> CacheError {
        let upstream = upstream.to_owned();
        match self {
            Self::Missing(handling) => missing(handling),
            Self::Refused(handling) => CacheError::Refused { upstream, handling },
            Self::Limited(retry_after, handling) => {
                CacheError::RateLimited { upstream, retry_after, handling }
            }
            Self::Away { reason, timed_out, handling, cause } => {
                CacheError::Away { upstream, reason, timed_out, retry_after: RETRY_AFTER, handling, cause }
            }
            Self::Wrong { reason, handling, cause } => {
                CacheError::Wrong { upstream, reason, handling, cause: Some(cause) }
            }
        }
    }
}
