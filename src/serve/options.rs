//! `ServeOptions`: a server's timeouts and limits.

use std::time::Duration;

use ipnet::IpNet;

use super::peer::PeerAddress;

/// A server's timeouts and limits. The defaults are those of the debug listener and of tests; `src/config/http.rs` has those of
/// the registry. None ends a transfer that progresses at the minimum speed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServeOptions {
    /// Whether to accept HTTP/2 without TLS. With TLS, see `TlsReloader::load`.
    pub h2c: bool,
    /// The timeout of a TLS handshake.
    pub handshake_timeout: Duration,
    /// The timeout of a request's headers from their first byte; for the first request, from the start of the
    /// connection.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request. Longer than the 90 seconds of Go's clients, so
    /// that they close first and no request meets a closing connection.
    pub idle_timeout: Duration,
    /// How long a transfer may make no progress because of the client, in either direction.
    pub stall_timeout: Duration,
    /// The minimum speed of bodies, in bytes per second; zero for none. The client may be behind by what it
    /// could have transferred within the stall timeout.
    pub min_body_speed: u64,
    /// The most connections. Resting ones are closed for new ones; when all are working, new ones wait.
    pub max_connections: usize,
    /// The most connections of one address, or of one IPv6 network (/64); zero for no limit.
    pub max_connections_per_network: usize,
    /// Proxies, which serve many clients: exempt from the limits per address and per connection.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests may continue after the shutdown began; zero ends them at once.
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
    /// Whether `peer` is a trusted proxy. Peers on a unix socket are.
    pub(super) fn trusts(&self, peer: PeerAddress) -> bool {
        peer.ip().is_none_or(|ip| self.trusted_proxies.iter().any(|network| network.contains(&ip)))
    }
}
