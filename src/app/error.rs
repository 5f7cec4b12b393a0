//! Why the registry does not start.

use std::fmt;

use crate::auth::token::TokenError;
use crate::auth::{HtpasswdError, InvalidParameter};
use crate::drivers::DriverSetupError;
use crate::error_chain::chain;
use crate::notify::NotifyError;
use crate::serve::BindError;
use crate::serve::tls::TlsError;

/// Why the registry does not start. Each names the setting that is to be changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store.
    #[error(transparent)]
    Storage(#[from] DriverSetupError),
    /// A directory of the store in which this process may not work.
    #[error("{0}")]
    NoPermission(String),
    /// A directory without a store.
    #[error("{0}")]
    NoStore(String),
    /// Several of these at once.
    #[error("{}", Listing(.0))]
    Several(Vec<AppError>),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The garbage collection.
    #[error("failed to garbage collect")]
    Collect(#[from] sampan_engine::gc::Error),
    /// The certificates.
    #[error("http.tls")]
    Tls(#[from] TlsError),
    /// The users and passwords.
    #[error("auth.htpasswd")]
    Htpasswd(#[from] HtpasswdError),
    /// The keys for tokens.
    #[error("auth.token")]
    Token(#[from] TokenError),
    /// Those who are told.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// A word that cannot be sent to clients.
    #[error("auth.silly")]
    Silly(#[from] InvalidParameter),
    /// A header that cannot be sent.
    #[error("http.headers: {name:?} is not a header, or one of its values cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// A path that cannot be served.
    #[error("http.prefix")]
    Prefix(#[from] crate::http::InvalidPrefix),
    /// Metrics that contradict each other.
    #[error("http.debug.prometheus")]
    Metrics(#[from] crate::telemetry::MetricsError),
    /// A URL that cannot be made.
    #[error("middleware.storage")]
    Middleware(#[from] crate::middleware::InvalidRule),
    /// No HTTP client.
    #[error("health.http: no client can be made")]
    HealthClient(#[from] crate::http_client::HttpClientError),
    /// A request that cannot be sent.
    #[error("health.http: {uri}: {what}")]
    HealthRequest {
        /// Where to.
        uri: crate::shown_url::ShownUrl,
        /// What is wrong with it.
        what: String,
    },
    /// A socket that systemd has opened.
    #[error("the socket that systemd has opened cannot be taken over")]
    InheritedSocket(#[source] std::io::Error),
    /// The Redis server of the descriptor cache.
    #[error(transparent)]
    Redis(#[from] crate::redis_cache::RedisSetupError),
    /// No thread for the access log.
    #[error("log.accesslog")]
    AccessLog(#[source] std::io::Error),
    /// The operating system refuses to tell of signals.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

impl AppError {
    /// All of `errors` as one, if there is any.
    pub(super) fn all(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors;
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }
}

/// Each on a line of its own, with its causes.
struct Listing<'a>(&'a [AppError]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} things cannot be used as configured:", self.0.len())?;
        for error in self.0 {
            write!(f, "\n  {}", chain(error))?;
        }
        Ok(())
    }
}
