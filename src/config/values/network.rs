//! `ProxyNetwork`: the network of trusted proxies.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::value_from_text;

/// A network of proxies: `10.0.0.0/8`, `192.0.2.1`, or `unix` for clients of a Unix socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyNetwork {
    /// Clients of a Unix socket.
    Unix,
    /// The addresses of a network.
    Ip(IpNet),
}

impl FromStr for ProxyNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self::Ip(network.trunc())).map_err(|_| {
            format!("expected a network such as `10.0.0.0/8`, an address, or `unix`, found `{text}`")
        })
    }
}

value_from_text!(ProxyNetwork);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        let ip = |text: &str| Ok(ProxyNetwork::Ip(text.parse().unwrap()));
        assert_eq!("10.1.2.3/8".parse(), ip("10.0.0.0/8"));
        assert_eq!("::1".parse(), ip("::1/128"));
        assert_eq!("unix".parse(), Ok(ProxyNetwork::Unix));
        for wrong in ["", "10.0.0.0/33", "proxy.example", "10.0.0"] {
            assert!(wrong.parse::<ProxyNetwork>().unwrap_err().contains("expected a network"), "{wrong}");
        }
    }
}
