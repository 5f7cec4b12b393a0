//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What is known of a connection without asking the client; an extension of every request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The other end of the socket: the client, or the proxy before it.
    pub address: PeerAddress,
    /// How the client speaks to this process.
    pub scheme: Scheme,
    /// Whether it showed a TLS certificate. Whether that was verified depends on the configured mode.
    pub client_certificate: bool,
}

/// The other end of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerAddress {
    /// An address; IPv4 is never shown as mapped into IPv6.
    Tcp(SocketAddr),
    /// A process of this machine.
    Unix,
}

/// The scheme of the URLs under which this process is reached directly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl PeerAddress {
    /// The address without the port, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// What limits count by: the address, or of IPv6 the network (/64), of which a single customer has all addresses.
    pub fn network(&self) -> Option<IpAddr> {
        Some(match self.ip()?.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As a proxy tells it, without the port.
            Self::Tcp(address) if address.port() == 0 => address.ip().fmt(f),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
