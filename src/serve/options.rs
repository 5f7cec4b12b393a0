//! How patient a server is.

use std::time::Duration;

use ipnet::IpNet;

use super::peer::PeerAddress;

/// The limits of a server. None of them bounds a transfer that makes progress at the least speed.
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
    /// How fast the body of a request or an answer must move, in bytes a second; zero for no such bound. The client may
    /// be behind by what it could have moved within the stall timeout.
    pub min_body_speed: u64,
    /// How many connections there may be. Those that rest are closed for new ones; when all are at work, new ones wait.
    pub max_connections: usize,
    /// How many of them one address may have, or one network of IPv6 (/64); zero for no such bound.
    pub max_connections_per_network: usize,
    /// Proxies, which speak for many: they may have all connections, and all streams of one at work.
    pub trusted_proxies: Vec<IpNet>,
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
            min_body_speed: 1024,
            max_connections: 10_000,
            max_connections_per_network: 0,
            trusted_proxies: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl ServeOptions {
    /// Whether `peer` is a proxy, which speaks for many. Whatever comes by a unix socket is.
    pub(super) fn trusts(&self, peer: PeerAddress) -> bool {
        peer.ip().is_none_or(|ip| self.trusted_proxies.iter().any(|network| network.contains(&ip)))
    }
}
