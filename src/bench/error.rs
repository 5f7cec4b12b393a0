//! Why a run ends early.

use std::io;
use std::path::PathBuf;

/// A result with this crate's errors.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// A URL that is no server's.
    #[error("`{url}` is not the URL of a server: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection.
    #[error("no connection to {host}: {source}")]
    Connect {
        /// Whom.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No trust.
    #[error("no TLS with {host}: {source}; {hint}")]
    Tls {
        /// With whom.
        host: String,
        /// Why.
        source: io::Error,
        /// What helps.
        hint: &'static str,
    },
    /// The certificates to trust cannot be used.
    #[error("no authority can be read from {path}: {reason}")]
    Authority {
        /// Where they should be.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("{request}: {source}")]
    Http {
        /// The request.
        request: String,
        /// What happened.
        source: hyper::Error,
    },
    /// Nothing came.
    #[error("{0}: nothing came for a minute")]
    Silence(String),
    /// An answer that means that the work was not done.
    #[error("{request} was answered with {status}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Answer {
        /// The request.
        request: String,
        /// The status code.
        status: u16,
        /// What the registry said, or what helps.
        detail: String,
    },
    /// An answer that is not what the specification asks for.
    #[error("{request}: {problem}")]
    Nonsense {
        /// The request.
        request: String,
        /// What is wrong.
        problem: String,
    },
    /// Access was not given.
    #[error("{host} asks for a user: {reason}")]
    Access {
        /// Who asks.
        host: String,
        /// What is missing.
        reason: String,
    },
    /// The process cannot be watched.
    #[error("process {pid} cannot be watched: {reason}")]
    Process {
        /// Which.
        pid: u32,
        /// Why not.
        reason: String,
    },
    /// A file of the set-up.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// This machine gives no threads or no clock.
    #[error("{0}")]
    System(#[from] io::Error),
}
