//! `TrustedProxies`: who a request comes from, when proxies stand between.
//!
//! A header that says so is believed from configured proxies only: it is the key of limits and throttles, and what
//! anybody can write into it, anybody can hide behind. Distribution believes everybody.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::headers::{X_FORWARDED_FOR, X_REAL_IP};
use crate::serve::PeerAddress;

/// The proxies whose word about their clients is taken (`http.trustedproxies`). None, unless somebody names them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies {
    /// Their networks.
    pub networks: Vec<IpNet>,
    /// Whether whoever comes by a unix socket is one of them.
    pub unix: bool,
}

impl TrustedProxies {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether the other end of a connection is one of them.
    pub fn trusts(&self, peer: PeerAddress) -> bool {
        match peer {
            PeerAddress::Unix => self.unix,
            PeerAddress::Tcp(address) => self.trusts_ip(address.ip()),
        }
    }

    /// Where a request comes from that came by `peer` with `headers`: the peer, or, as long as each who says so is
    /// trusted, who stands before it.
    ///
    /// `X-Forwarded-For` is read from its end, where the nearest proxy has written; `X-Real-Ip` and then `Forwarded` are
    /// looked at only without it. What is no address ends the search.
    pub(super) fn client(&self, peer: PeerAddress, headers: &HeaderMap) -> PeerAddress {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for address in said(headers) {
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

/// What the headers say, the nearest first; `None` for what is no address.
fn said(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
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

/// The `for` of an element of RFC 7239.
fn forwarded_for(element: &str) -> &str {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    values.next().map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:4000`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4000`; port 0 when there is none.
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
    fn a_stranger_is_not_believed() {
        check("192.0.2.9:1", &[("x-forwarded-for", "203.0.113.5")], "192.0.2.9");
        check("192.0.2.9:1", &[("x-real-ip", "203.0.113.5"), ("forwarded", "for=203.0.113.5")], "192.0.2.9");
    }

    #[test]
    fn a_proxy_is_believed_and_the_one_before_it_only_if_it_is_a_proxy_too() {
        check(PROXY, &[], "10.0.0.1");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5")], "203.0.113.5");
        // The client has written the first address itself.
        check(PROXY, &[("x-forwarded-for", "1.2.3.4, 203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5, 10.9.9.9")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "10.2.2.2, 10.9.9.9")], "10.2.2.2");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5, rubbish")], "10.0.0.1");
    }

    #[test]
    fn other_spellings_are_read() {
        check(PROXY, &[("x-real-ip", "203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5:4711")], "203.0.113.5");
        check(PROXY, &[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1");
        check(PROXY, &[("x-forwarded-for", "::ffff:203.0.113.5")], "203.0.113.5");
        check(PROXY, &[("forwarded", "for=1.2.3.4, For=\"[2001:db8::1]:4711\";proto=https")], "2001:db8::1");
        check(PROXY, &[("forwarded", "for=_hidden")], "10.0.0.1");
        check(PROXY, &[("x-forwarded-for", "203.0.113.5"), ("x-real-ip", "1.2.3.4")], "203.0.113.5");
    }

    #[test]
    fn a_unix_socket_is_trusted_by_name() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "203.0.113.5".parse().unwrap());
        let client = |unix| TrustedProxies { networks: Vec::new(), unix }.client(PeerAddress::Unix, &headers);
        assert_eq!(client(false), PeerAddress::Unix);
        assert_eq!(client(true).ip(), Some("203.0.113.5".parse().unwrap()));
    }
}
