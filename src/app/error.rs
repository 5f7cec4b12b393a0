//! The reasons why the registry does not start.

use std::fmt;

use super::{CacheSetupError, SyncSetupError};
use crate::auth::token::TokenError;
use crate::auth::{GuardError, HtpasswdError, InvalidParameter};
use crate::drivers::DriverSetupError;
use crate::notify::NotifyError;
use crate::serve::BindError;
use crate::serve::tls::TlsError;
use sampan_driver::with_causes;

/// The reason why the registry does not start. Each names the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store.
    #[error(transparent)]
    Storage(#[from] DriverSetupError),
    /// This process lacks permissions in a directory of the store.
    #[error("{0}")]
    NoPermission(String),
    /// The directory is not a store.
    #[error("{0}")]
    NoStore(String),
    /// The configuration is read-only, and the command would write.
    #[error(
        "storage.maintenance.readonly: the configuration is read-only, so other programs may rely on an unchanged store: pass a configuration of this store without it"
    )]
    ReadOnly,
    /// Several of these at once.
    #[error("{}", Listing(.0))]
    Several(Vec<AppError>),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The garbage collection.
    #[error("failed to garbage collect")]
    Collect(#[from] sampan_engine::gc::Error),
    /// The certificates or keys of TLS.
    #[error("http.tls")]
    Tls(#[from] TlsError),
    /// The users and passwords.
    #[error("auth.htpasswd")]
    Htpasswd(#[from] HtpasswdError),
    /// The keys for tokens.
    #[error("auth.token")]
    Token(#[from] TokenError),
    /// The rules and the tokens.
    #[error(transparent)]
    Access(#[from] GuardError),
    /// The caches of other registries.
    #[error("proxy")]
    Caches(#[from] CacheSetupError),
    /// The jobs that copy from other registries.
    #[error("sync")]
    Sync(#[from] SyncSetupError),
    /// The record of who did what.
    #[error("audit.file {}: {source}; let this process create and write it", .path.display())]
    Audit {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The queue of notifications.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The realm or the service cannot be a header.
    #[error("auth.silly")]
    Silly(#[from] InvalidParameter),
    /// A configured header is invalid.
    #[error("http.headers: {name:?} is not a header, or one of its values cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// The path prefix is invalid.
    #[error("http.prefix")]
    Prefix(#[from] crate::http::InvalidPrefix),
    /// Metrics that contradict each other.
    #[error("http.debug.prometheus")]
    Metrics(#[from] crate::telemetry::MetricsError),
    /// The rewritten URL is invalid.
    #[error("middleware.storage")]
    Middleware(#[from] crate::decorators::InvalidRule),
    /// The HTTP client of the checks.
    #[error("health.http: cannot create an HTTP client")]
    HealthClient(#[from] crate::http_client::HttpClientError),
    /// The request of a check is invalid.
    #[error("health.http: {uri}: {what}")]
    HealthRequest {
        /// The URL.
        uri: sampan_shown_url::ShownUrl,
        /// The problem.
        what: String,
    },
    /// The socket from systemd.
    #[error("cannot take over the socket that systemd opened")]
    InheritedSocket(#[source] std::io::Error),
    /// The Redis server of the descriptor cache.
    #[error(transparent)]
    Redis(#[from] crate::redis_cache::RedisSetupError),
    /// The thread of the access log.
    #[error("log.accesslog")]
    AccessLog(#[source] std::io::Error),
    /// The handlers of signals.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
}

impl AppError {
    /// Combines `errors` into one, if there are any.
    pub(super) fn all(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors;
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }
}

/// Displays each error on its own line, with its causes.
struct Listing<'a>(&'a [AppError]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} things cannot be used as configured:", self.0.len())?;
        for error in self.0 {
            write!(f, "\n  {}", with_causes(error))?;
        }
        Ok(())
    }
}
