//! `RegistryAddress`: where a registry is, from the host of an image's name or from a URL.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::Url;

/// The name of Docker Hub in images, and the host that serves its API.
const HUB: &str = "docker.io";
const HUB_API: &str = "registry-1.docker.io";
/// Further names of Docker Hub.
const HUB_ALIASES: [&str; 3] = ["index.docker.io", "registry.hub.docker.com", HUB_API];

/// The address of a registry: `registry.example:5000`, `docker.io`, `http://localhost:5000`, `https://host/prefix`.
///
/// An address without a scheme means https; [`PlainHttp`](crate::PlainHttp) says when http is tried after it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RegistryAddress {
    /// As in names of images: host and port.
    name: String,
    /// The API's URL without `/v2/`, ending in a slash; https if the address has no scheme.
    url: Url,
    has_scheme: bool,
}

impl RegistryAddress {
    /// Docker Hub, the registry of names without a host.
    #[expect(clippy::expect_used, reason = "a constant")]
    pub fn docker_hub() -> Self {
        HUB.parse().expect("invariant: a host name is an address")
    }

    /// Host and port as in names of images, such as `docker.io` or `localhost:5000`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the registry is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.name == HUB
    }

    /// Whether the host is this machine, by its name.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether the address names its scheme.
    pub fn has_scheme(&self) -> bool {
        self.has_scheme
    }

    /// The URL below which `v2/` is.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL with http for https.
    pub(crate) fn plain_url(&self) -> Url {
        let mut url = self.url.clone();
        // Both schemes are special, so this succeeds; the port is that of the address or the default of http.
        let _ = url.set_scheme("http");
        url
    }
}

/// Whether the URL's host is `localhost` or a loopback address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

impl FromStr for RegistryAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid =
            |problem| InvalidAddress { address: sampan_shown_url::ShownUrl::new(text).to_string(), problem };
        let has_scheme = text.contains("://");
        let written = if has_scheme { text.to_owned() } else { format!("https://{text}") };
        let mut url: Url = written.parse().map_err(|_| invalid("it is neither a host nor a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("its scheme must be http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has a user; pass the user and the password apart from it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a query or a fragment"));
        }
        let Some(host) = url.host_str().map(str::to_owned) else { return Err(invalid("it has no host")) };
        if !has_scheme && url.path() != "/" {
            return Err(invalid("a path needs a scheme before the host, as in https://host/path"));
        }
        let mut name = match written.contains(&format!("{host}:443")) && url.scheme() == "https" {
            // The parser drops the default port, but credentials may be stored with it.
            true => format!("{host}:443"),
            false => url.port().map_or(host.clone(), |port| format!("{host}:{port}")),
        };
        if (HUB_ALIASES.contains(&host.as_str()) || host == HUB) && url.port().is_none() {
            HUB.clone_into(&mut name);
            let _ = url.set_host(Some(HUB_API));
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/v2").unwrap_or(path).trim_end_matches('/');
        let path = format!("{path}/");
        url.set_path(&path);
        Ok(Self { name, url, has_scheme })
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.has_scheme {
            true => f.write_str(self.url.as_str().trim_end_matches('/')),
            false => f.write_str(&self.name),
        }
    }
}

/// An error: the text is not the address of a registry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{address}` is not the address of a registry: {problem}")]
pub struct InvalidAddress {
    address: String,
    problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_urls_become_the_url_of_the_api() {
        for (text, name, url) in [
            ("docker.io", "docker.io", "https://registry-1.docker.io/"),
            ("index.docker.io", "docker.io", "https://registry-1.docker.io/"),
            ("https://registry-1.docker.io/v2/", "docker.io", "https://registry-1.docker.io/"),
            ("docker.io:5000", "docker.io:5000", "https://docker.io:5000/"),
            ("quay.io", "quay.io", "https://quay.io/"),
            ("Registry.Example:5000", "registry.example:5000", "https://registry.example:5000/"),
            ("registry.example:443", "registry.example:443", "https://registry.example/"),
            ("localhost:5000", "localhost:5000", "https://localhost:5000/"),
            ("localhost", "localhost", "https://localhost/"),
            ("[::1]:5000", "[::1]:5000", "https://[::1]:5000/"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("https://host/prefix/v2", "host", "https://host/prefix/"),
            ("https://host/a//", "host", "https://host/a/"),
        ] {
            let address: RegistryAddress = text.parse().unwrap();
            assert_eq!((address.name(), address.url().as_str()), (name, url), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in [
            "",
            "https://",
            "ftp://host",
            "https://user:hunter2@host",
            "user:hunter2@host",
            "host/path",
            "host?x=hunter2",
            "https://host#x",
            "a b",
            "host:99999",
        ] {
            let error = text.parse::<RegistryAddress>().expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn loopback_is_known_by_name() {
        for (text, expected) in [
            ("localhost:5000", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("0x7f.1", true),
            ("app.localhost", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(text.parse::<RegistryAddress>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
