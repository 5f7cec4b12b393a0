//! The address to listen on, and the path prefix.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::value_from_text;

/// `http.addr`: a TCP address in Go's notation, or the path of a Unix socket.
///
/// `http.net` must name the same kind, which is checked; consumers match on this type alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// `host:port`; without a host, every IPv6 and IPv4 address of the machine.
    Tcp {
        /// A name, or an IP address without brackets; none in `:5000`.
        host: Option<String>,
        /// The port; 0 means that the system chooses one.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether two listeners at these addresses get in each other's way, as far as that shows without asking for names.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(path), Self::Unix(other)) => path == other,
            (Self::Tcp { host, port }, Self::Tcp { host: other_host, port: other_port }) => {
                let (host, other_host) = (bound(host.as_deref()), bound(other_host.as_deref()));
                let is_everywhere = host == ANY_ADDRESS || other_host == ANY_ADDRESS;
                *port != 0 && port == other_port && (is_everywhere || host == other_host)
            }
            (Self::Unix(_), Self::Tcp { .. }) | (Self::Tcp { .. }, Self::Unix(_)) => false,
        }
    }
}

/// The host of a listener at every address.
const ANY_ADDRESS: &str = "";

/// One text for all ways to write a host.
fn bound(host: Option<&str>) -> &str {
    match host {
        None | Some("0.0.0.0" | "::") => ANY_ADDRESS,
        Some("localhost") => "127.0.0.1",
        Some(host) => host,
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected an address such as `:5000` or `127.0.0.1:5000`, found nothing".to_owned());
        }
        Ok(tcp(text).unwrap_or_else(|| Self::Unix(PathBuf::from(text))))
    }
}

fn tcp(text: &str) -> Option<ListenAddress> {
    let (host, port) = text.rsplit_once(':')?;
    // Go also knows ports by their service names; these two are in use.
    let port = match port {
        "http" => 80,
        "https" => 443,
        number => number.parse().ok()?,
    };
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?,
        None if host.contains([':', '/']) => return None,
        None => host,
    };
    Some(ListenAddress::Tcp { host: (!host.is_empty()).then(|| host.to_owned()), port })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: None, port } => write!(f, ":{port}"),
            Self::Tcp { host: Some(host), port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host: Some(host), port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `http.prefix`: the path before `/v2/`; empty, or `/a/b` without a slash at the end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix, to be put before `/v2/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!(
                "expected a path that begins with a slash, such as `/{text}`, found `{text}`"
            ));
        }
        if text.contains(['?', '#', '%', ' '])
            || text.contains("//")
            || text.split('/').any(|s| matches!(s, "." | ".."))
        {
            return Err(format!("expected a plain path such as `/registry`, found `{text}`"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

value_from_text!(ListenAddress, PathPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let host = |host: &str, port| ListenAddress::Tcp { host: Some(host.to_owned()), port };
        for (text, address) in [
            (":5000", ListenAddress::Tcp { host: None, port: 5000 }),
            (":https", ListenAddress::Tcp { host: None, port: 443 }),
            ("localhost:5000", host("localhost", 5000)),
            ("0.0.0.0:0", host("0.0.0.0", 0)),
            ("[::]:5000", host("::", 5000)),
            ("[::1]:5000", host("::1", 5000)),
            ("/run/registry.sock", ListenAddress::Unix("/run/registry.sock".into())),
            ("/run/a:80", ListenAddress::Unix("/run/a:80".into())),
            ("5000", ListenAddress::Unix("5000".into())),
            ("::1:5000", ListenAddress::Unix("::1:5000".into())),
            (":70000", ListenAddress::Unix(":70000".into())),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap(), address, "{text}");
        }
        assert_eq!(host("::1", 5000).to_string(), "[::1]:5000");
    }

    #[test]
    fn a_prefix_loses_its_last_slash_and_needs_its_first() {
        for (text, prefix) in [("", ""), ("/", ""), ("/a/b/", "/a/b"), ("/a", "/a")] {
            assert_eq!(text.parse::<PathPrefix>().unwrap().as_str(), prefix, "{text}");
        }
        for text in ["a/", "/a//b", "/a/../b", "/a?b", "https://x/"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
