//! `Endpoint`: the parsed address of a server.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::error::{Error, Result};
use crate::options::TlsOptions;
use crate::tls;

/// The address of a server, and its protocol.
pub(crate) struct Endpoint {
    /// `host:port`, for messages.
    pub(crate) host: String,
    /// The same as a header.
    pub(crate) host_header: HeaderValue,
    /// The path prefix, without a slash at its end.
    pub(crate) prefix: String,
    /// One fixed address, if the name has several.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The TLS settings, for `https`.
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// Looks up the host of a URL.
    pub(crate) fn resolve(url: &Url, options: &TlsOptions) -> Result<Self> {
        let wrong = |reason: &str| Error::Url { url: url.to_string(), reason: reason.to_owned() };
        let host = url.host().ok_or_else(|| wrong("it names no host"))?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("it begins neither with http:// nor with https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a user in it would show in reports; give --user"));
        }
        let port = url.port_or_known_default().ok_or_else(|| wrong("it has no port"))?;
        let name = format!("{host}:{port}");
        let addresses: Vec<_> = match &host {
            Host::Domain(domain) => (*domain, port)
                .to_socket_addrs()
                .map_err(|source| Error::Connect { host: name.clone(), source })?
                .collect(),
            Host::Ipv4(address) => vec![(*address, port).into()],
            Host::Ipv6(address) => vec![(*address, port).into()],
        };
        if addresses.is_empty() {
            let source = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(Error::Connect { host: name, source });
        }
        let server_name = match host {
            Host::Domain(domain) => {
                ServerName::try_from(domain.to_owned()).map_err(|error| wrong(&error.to_string()))?
            }
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        };
        let shown = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        Ok(Self {
            host: name,
            host_header: HeaderValue::from_str(&shown).map_err(|error| wrong(&error.to_string()))?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            addresses,
            tls: secure.then(|| tls::connector(options).map(|tls| (tls, server_name))).transpose()?,
        })
    }

    /// The path and query of an answer's `Location`, which must name this server.
    pub(crate) fn path_of(&self, location: &str) -> Option<String> {
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        let url = Url::parse(location).ok()?;
        let host = format!("{}:{}", url.host()?, url.port_or_known_default()?);
        (host == self.host).then(|| url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(url: &str) -> Result<Endpoint> {
        Endpoint::resolve(&Url::parse(url).unwrap(), &TlsOptions::Insecure)
    }

    #[test]
    fn a_url_is_a_host_and_a_path_before_everything() {
        let endpoint = resolve("http://127.0.0.1:5000/team/").unwrap();
        assert_eq!(endpoint.host, "127.0.0.1:5000");
        assert_eq!(endpoint.prefix, "/team");
        assert!(endpoint.tls.is_none());
        let secure = resolve("https://[::1]/").unwrap();
        assert_eq!((secure.host.as_str(), secure.prefix.as_str()), ("[::1]:443", ""));
        assert!(secure.tls.is_some());
    }

    #[test]
    fn a_url_that_is_no_servers_is_refused() {
        for url in ["ftp://127.0.0.1", "http://user:secret@127.0.0.1", "data:nothing"] {
            assert!(matches!(resolve(url), Err(Error::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_location_elsewhere_is_not_followed() {
        let endpoint = resolve("http://127.0.0.1:5000").unwrap();
        for (location, path) in [
            ("/v2/a?_state=1", Some("/v2/a?_state=1")),
            ("http://127.0.0.1:5000/v2/a?x=%20", Some("/v2/a?x=%20")),
            ("http://127.0.0.2:5000/v2/a", None),
            ("v2", None),
        ] {
            assert_eq!(endpoint.path_of(location).as_deref(), path, "{location}");
        }
    }
}
