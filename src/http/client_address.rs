//! `TrustedProxies`: the client's address behind proxies.
//!
//! Only configured proxies may name a client: rate limits and login throttles use the address as their key,
//! so a client that can forge it escapes them. Distribution trusts every header.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::headers::{X_FORWARDED_FOR, X_REAL_IP};
use crate::serve::PeerAddress;

/// The proxies whose forwarding headers count (`http.trustedproxies`). None by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies {
    /// The networks of trusted proxies.
    pub networks: Vec<IpNet>,
    /// Whether peers on a unix socket are trusted.
    pub unix: bool,
}

impl TrustedProxies {
    /// Whether the set trusts no peer.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether the set trusts the other end of a connection.
    pub fn trusts(&self, peer: PeerAddress) -> bool {
        match peer {
            PeerAddress::Unix => self.unix,
            PeerAddress::Tcp(address) => self.trusts_ip(address.ip()),
        }
    }

    /// The address of the client that sent a request over `peer` with `headers`: the address nearest to us
    /// that is not a trusted proxy's.
    ///
    /// Reads `X-Forwarded-For` from its end, where the nearest proxy writes; without that header `X-Real-Ip`,
    /// then `Forwarded`. The search ends at an entry that is not an address.
    pub(super) fn client(&self, peer: PeerAddress, headers: &HeaderMap) -> PeerAddress {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for address in forwarded_addresses(headers) {
            let Some(address) = address else { break };
            client = PeerAddress::Tcp(address);
            if !self.trusts_ip(address.ip()) {
                break;
            }
        }
        client
    }

    fn trusts_ip(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// The addresses in the headers, the nearest first; `None` for an entry that is not an address.
fn forwarded_addresses(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    let texts =
        |name: HeaderName| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let mut listed: Vec<&str> = texts(X_FORWARDED_FOR).flat_map(|text| text.split(',')).collect();
    if listed.is_empty() {
        listed = texts(X_REAL_IP).take(1).collect();
    }
    if listed.is_empty() {
        listed = texts(FORWARDED).flat_map(|text| text.split(',')).map(forwarded_for).collect();
    }
    listed.into_iter().rev().map(address).collect()
}

/// The `for` parameter of an RFC 7239 element.
fn forwarded_for(element: &str) -> &str {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    values.next().map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// Parses `192.0.2.1`, `192.0.2.1:4000`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4000`; the port
/// defaults to 0.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:40000";

    fn check(peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let trusted = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], unix: false };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let client = trusted.client(PeerAddress::Tcp(peer.parse().unwrap()), &map);
        let ip = client.ip().unwrap().to_string();
        assert_eq!(ip, expected, "{peer} {headers:?}");
    }

    #[test]
    fn headers_of_an_untrusted_peer_are_ignored() {
        check("192.0.2.9:1", &[("x-forwarded-for", "203.0.113.5")], "192.0.2.9");
        check("192.0.2.9:1", &[("x-real-ip", "203.0.113.5"), ("forwarded", "for=203.0.113.5")], "192.0.2.9");
    }

    #[test]
    fn each_hop_counts_only_if_the_hop_after_it_is_trusted() {
        check(PROXY, &[], "10.0.0.1");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5")], "203.0.113.5");
        // The client wrote the first address itself.
        check(PROXY, &[("x-forwarded-for", "1.2.3.4, 203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5, 10.9.9.9")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "10.2.2.2, 10.9.9.9")], "10.2.2.2");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5, rubbish")], "10.0.0.1");
    }

    #[test]
    fn every_header_and_spelling_is_read() {
        check(PROXY, &[("x-real-ip", "203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5:4711")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1");
        check(PROXY, &[("x-forwarded-for", "::ffff:203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("forwarded", "for=1.2.3.4, For=\"[2001:db8::1]:4711\";proto=https")], "2001:db8::1");
        check(PROXY, &[("forwarded", "for=_hidden")], "10.0.0.1");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5"), ("x-real-ip", "1.2.3.4")], "203.0.113.5");
    }

    #[test]
    fn a_unix_socket_is_trusted_only_when_configured() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "203.0.113.5".parse().unwrap());
        let client = |unix| TrustedProxies { networks: Vec::new(), unix }.client(PeerAddress::Unix, &headers);
        assert_eq!(client(false), PeerAddress::Unix);
        assert_eq!(client(true).ip(), Some("203.0.113.5".parse().unwrap()));
    }
}
