//! The reasons why a run ends early.

use std::io;
use std::path::PathBuf;

/// A result with this crate's errors.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The URL does not name a server.
    #[error("`{url}` is not the URL of a server: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The connection failed.
    #[error("no connection to {host}: {source}")]
    Connect {
        /// The server.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {host}: {source}; {hint}")]
    Tls {
        /// The server.
        host: String,
        /// The cause.
        source: io::Error,
        /// The remedy.
        hint: &'static str,
    },
    /// The trusted certificates cannot be read.
    #[error("cannot read an authority from {path}: {reason}")]
    Authority {
        /// Their file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The connection broke, or the answer was not HTTP.
    #[error("{request}: {source}")]
    Http {
        /// The request.
        request: String,
        /// The cause.
        source: hyper::Error,
    },
    /// The server was silent for too long.
    #[error("{0}: no answer for a minute")]
    Silence(String),
    /// The registry refused the request.
    #[error("{request} was answered with {status}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Answer {
        /// The request.
        request: String,
        /// The status code.
        status: u16,
        /// The registry's message, or the remedy.
        detail: String,
    },
    /// The answer violates the specification.
    #[error("{request}: {problem}")]
    Nonsense {
        /// The request.
        request: String,
        /// The violation.
        problem: String,
    },
    /// The registry refused access.
    #[error("{host} requires a login: {reason}")]
    Access {
        /// The server.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The process cannot be observed.
    #[error("cannot watch process {pid}: {reason}")]
    Process {
        /// The process.
        pid: u32,
        /// The reason.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The machine provides no threads or no clock.
    #[error("{0}")]
    System(#[from] io::Error),
}
