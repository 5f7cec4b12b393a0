//! `Peer`: the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Facts about a connection that do not depend on the client's headers; an extension of every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address of the other end of the socket: the client or its proxy.
    pub address: PeerAddress,
    /// The scheme of the connection.
    pub scheme: Scheme,
    /// The TLS certificate that the client presented.
    pub client_certificate: Option<ClientCertificate>,
}

/// The TLS certificate of a client, to which it has proven to hold the key.
#[derive(Clone, Eq, PartialEq)]
pub struct ClientCertificate {
    /// The certificate itself, in DER, without those that vouch for it.
    pub leaf: Arc<[u8]>,
    /// Whether it leads to `http.tls.clientcas`.
    pub is_verified: bool,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("is_verified", &self.is_verified).finish_non_exhaustive()
    }
}

/// The address of the other end of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerAddress {
    /// An IP address and port; IPv4 is never mapped into IPv6.
    Tcp(SocketAddr),
    /// A process on this machine, over a unix socket.
    Unix,
}

/// The scheme of URLs that reach this process directly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl PeerAddress {
    /// The address without the port; `None` for a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// The key for limits: the address, or for IPv6 the network (/64), because one customer owns a whole
    /// network.
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
            // From a proxy's header, without the port.
            Self::Tcp(address) if address.port() == 0 => address.ip().fmt(f),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

impl Scheme {
    /// The scheme as in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
