//! How patient a server is.

use std::time::Duration;

/// The limits of a server. None of them bounds a transfer that makes progress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServeOptions {
    /// Whether HTTP/2 without TLS is spoken with clients that begin with it. With TLS, see `TlsSettings::http2`.
    pub h2c: bool,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte, and the first one from the connection on.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request. Longer than the 90 seconds of Go's clients, so that
    /// it is they who close, and no request meets a closing connection.
    pub idle_timeout: Duration,
    /// How long a transfer may make no progress at all, in either direction, because of the client.
    pub stall_timeout: Duration,
    /// How many connections there may be. Further ones wait to be accepted.
    pub max_connections: usize,
    /// How long requests may go on after the shutdown began; zero ends them at once.
    pub drain_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            h2c: false,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(120),
            stall_timeout: Duration::from_secs(60),
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
