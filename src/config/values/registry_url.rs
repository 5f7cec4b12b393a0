//! `RegistryUrl`: where another registry is.

use std::str::FromStr;

use sampan_shown_url::ShownUrl;
use url::Url;

use super::{RegistryHost, value_from_text};

/// The name of Docker Hub in images.
pub(crate) const HUB: &str = "docker.io";
/// The host that serves its API.
const HUB_API: &str = "registry-1.docker.io";
/// Further names of it.
const HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry.hub.docker.com"];

/// The URL of a registry: `https://quay.io`, `http://localhost:5000`, `https://host.example/artifactory/api/docker/remote`.
///
/// The API is at `v2/` below it. There is no user in it, no query and no fragment; it ends in a slash. Each name of Docker Hub
/// becomes the host of its API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryUrl(Url);

impl RegistryUrl {
    /// The parsed URL, which ends in a slash.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether the registry is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        is_docker_hub(&self.0)
    }

    /// The host in names of images: `docker.io` for Docker Hub.
    pub fn registry(&self) -> RegistryHost {
        match self.is_docker_hub() {
            true => RegistryHost::of_name(HUB),
            false => RegistryHost::of_url(&self.0),
        }
    }
}

/// Whether the parsed URL of a registry is that of Docker Hub.
pub(crate) fn is_docker_hub(url: &Url) -> bool {
    url.host_str() == Some(HUB_API) && url.port().is_none()
}

impl FromStr for RegistryUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ShownUrl::new(text);
        let mut url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => {
                return Err(format!(
                    "expected the full URL of a registry such as `https://registry-1.docker.io`, found `{found}`"
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "has a user in it, and URLs end up in logs: write `{found}`, with `username` and `password` beside it"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "has a query or a fragment, which the URL of a registry has not: write `{found}`"
            ));
        }
        let is_hub = |host: &str| host == HUB || HUB_ALIASES.contains(&host);
        if url.port().is_none() && url.host_str().is_some_and(is_hub) {
            // The URL has a host, and the new one is valid.
            let _ = url.set_host(Some(HUB_API));
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/v2").unwrap_or(path).trim_end_matches('/');
        let path = format!("{path}/");
        url.set_path(&path);
        Ok(Self(url))
    }
}

value_from_text!(RegistryUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_the_place_of_the_api_and_the_host_in_names() {
        for (text, url, registry) in [
            ("https://registry-1.docker.io", "https://registry-1.docker.io/", "docker.io"),
            ("https://docker.io", "https://registry-1.docker.io/", "docker.io"),
            ("https://INDEX.docker.io/v2/", "https://registry-1.docker.io/", "docker.io"),
            ("https://registry.hub.docker.com:443", "https://registry-1.docker.io/", "docker.io"),
            ("https://docker.io:5000", "https://docker.io:5000/", "docker.io:5000"),
            ("https://quay.io", "https://quay.io/", "quay.io"),
            ("https://quay.io:443/v2", "https://quay.io/", "quay.io"),
            ("http://localhost:5000/", "http://localhost:5000/", "localhost:5000"),
            ("http://mirror", "http://mirror/", "mirror"),
            ("https://[::1]:5000", "https://[::1]:5000/", "[::1]:5000"),
            ("https://bücher.example", "https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
            ("https://h/artifactory/api/docker/remote", "https://h/artifactory/api/docker/remote/", "h"),
            ("https://h/prefix/v2//", "https://h/prefix/", "h"),
        ] {
            let parsed: RegistryUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((parsed.as_url().as_str(), parsed.registry().as_str()), (url, registry), "{text}");
            assert_eq!(parsed.is_docker_hub(), registry == "docker.io", "{text}");
            assert_eq!(url.parse(), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_without_its_secrets() {
        for (text, expected) in [
            ("", "expected the full URL"),
            (
                "quay.io",
                "expected the full URL of a registry such as `https://registry-1.docker.io`, found `quay.io`",
            ),
            ("ftp://quay.io", "found `ftp://quay.io`"),
            ("https://", "expected the full URL"),
            ("https://quay.io:99999", "expected the full URL"),
            (
                "https://robot:hunter2@quay.io/",
                "has a user in it, and URLs end up in logs: write `https://quay.io/`, with `username` and `password` beside it",
            ),
            ("https://robot@quay.io", "has a user in it"),
            ("robot:hunter2@quay.io", "found `quay.io`"),
            (
                "https://quay.io?token=hunter2",
                "has a query or a fragment, which the URL of a registry has not: write `https://quay.io`",
            ),
            ("https://quay.io#hunter2", "has a query or a fragment"),
        ] {
            let problem = text.parse::<RegistryUrl>().expect_err(text);
            assert!(problem.contains(expected) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
