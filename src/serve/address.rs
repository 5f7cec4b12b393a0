//! Listen addresses as a configuration spells them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// An address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// A TCP port on all addresses of the machine, IPv6 and IPv4.
    ///
    /// `:5000`, `0.0.0.0:5000` and `[::]:5000` all mean this, as they do for Distribution.
    AllInterfaces(u16),
    /// A TCP port on one address.
    Tcp(SocketAddr),
    /// A TCP port on a host name, resolved when the socket is bound.
    Named(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// Text that is not a valid listen address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not a valid listen address: {problem}")]
pub struct InvalidAddress {
    text: String,
    problem: &'static str,
}

impl ListenAddress {
    /// Parses `:5000`, `127.0.0.1:5000`, `[::1]:5000` or `localhost:5000`.
    ///
    /// # Errors
    ///
    /// The port is missing or not a number.
    pub fn tcp(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |problem| InvalidAddress { text: text.to_owned(), problem };
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(invalid("the port is missing, write `:5000` or `127.0.0.1:5000`"));
        };
        let port = port
            .parse()
            .map_err(|_| invalid("what follows the last `:` must be a port number from 0 to 65535"))?;
        if host.is_empty() {
            return Ok(Self::AllInterfaces(port));
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip = match bracketed {
            Some(v6) => v6
                .parse::<Ipv6Addr>()
                .map(IpAddr::V6)
                .map_err(|_| invalid("between `[` and `]` there must be an IPv6 address"))?,
            None if host.contains(':') => {
                return Err(invalid("an IPv6 address must be in brackets, like `[::1]:5000`"));
            }
            None => match host.parse() {
                Ok(ip) => ip,
                Err(_) => return Ok(Self::Named(host.to_owned(), port)),
            },
        };
        Ok(if ip.is_unspecified() { Self::AllInterfaces(port) } else { Self::Tcp(SocketAddr::new(ip, port)) })
    }

    /// A unix socket at `path`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix(path.into())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllInterfaces(port) => write!(f, ":{port}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Named(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_as_in_go() {
        let check =
            |text, expected: ListenAddress| assert_eq!(ListenAddress::tcp(text), Ok(expected), "{text}");
        check(":5000", ListenAddress::AllInterfaces(5000));
        check("0.0.0.0:5000", ListenAddress::AllInterfaces(5000));
        check("[::]:0", ListenAddress::AllInterfaces(0));
        check("127.0.0.1:5000", ListenAddress::Tcp(([127, 0, 0, 1], 5000).into()));
        check("[::1]:5000", ListenAddress::Tcp((Ipv6Addr::LOCALHOST, 5000).into()));
        check("localhost:5001", ListenAddress::Named("localhost".to_owned(), 5001));
    }

    #[test]
    fn any_other_address_is_refused_with_a_reason() {
        let check = |text, expected: &str| {
            let error = ListenAddress::tcp(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("5000", "the port is missing");
        check("localhost:http", "must be a port number");
        check(":65536", "must be a port number");
        check("::1:5000", "must be in brackets");
        check("[localhost]:5000", "must be an IPv6 address");
    }
}
