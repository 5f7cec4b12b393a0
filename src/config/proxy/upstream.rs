//! `CacheUpstream`: a registry whose content is cached, with every default filled in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{
    ProxyConfig, UpstreamAccount, UpstreamConfig, UpstreamRepositories, UpstreamTags, UpstreamTimeouts,
    WhenGone,
};
use crate::defaults::complete_part;
use crate::section::Value;
use crate::values::{RegistryHost, RegistryUrl, RepositoryPath, is_docker_hub};
use crate::{Node, Origin};

/// A registry whose content is cached: `proxy.remoteurl`, or an entry of `proxy.upstreams`.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheUpstream {
    /// The name for the log and the metrics; `remote` for `remoteurl`.
    pub name: String,
    /// The URL, which ends in a slash; the API is at `v2/` below it. Docker Hub is `https://registry-1.docker.io/`.
    pub url: Url,
    /// Where its repositories are among ours. `None` for `remoteurl`: the whole registry is its cache.
    pub prefix: Option<String>,
    /// The values of the parameter `ns` that mean it, none of which another upstream has. Empty for `remoteurl`, which is meant
    /// whatever `ns` says, as in Distribution.
    pub ns: Vec<RegistryHost>,
    /// The hosts of requests that mean it. An entry without a port is meant for any port.
    pub hosts: Vec<RegistryHost>,
    /// Whether `library/` is added to names of one component.
    pub library: bool,
    /// The path there below which all its repositories are.
    pub path: Option<String>,
    /// The account there.
    pub account: UpstreamAccount,
    /// Hosts of token servers in other domains that get the credentials, on any port.
    pub realms: Vec<String>,
    /// Hosts at private addresses, or on this machine, that it may redirect to, on any port.
    pub redirects: Vec<String>,
    /// A PEM file of authorities to trust besides those of the system.
    pub ca: Option<PathBuf>,
    /// A PEM file with a client certificate.
    pub clientcertificate: Option<PathBuf>,
    /// A PEM file with its key; `None` if the file of the certificate has it.
    pub clientkey: Option<PathBuf>,
    /// Which of its repositories may be asked for, by their names there.
    pub repositories: UpstreamRepositories,
    /// How long the answers about tags are used.
    pub tags: UpstreamTags,
    /// The most that this cache keeps, in bytes.
    pub maxsize: Option<u64>,
    /// The most requests at a time; never 0.
    pub connections: usize,
    /// The most requests in a second.
    pub requests: Option<u32>,
    /// The most bytes in a second.
    pub bandwidth: Option<u64>,
    /// After so long, layers that no client asked for are fetched; zero is never.
    pub complete: Duration,
    /// How long it may be silent.
    pub timeouts: UpstreamTimeouts,
    /// Confirms that all clients may read what the account can read.
    pub public: bool,
}

impl CacheUpstream {
    /// Whether it is Docker Hub, which has no list of its repositories.
    pub fn is_docker_hub(&self) -> bool {
        is_docker_hub(&self.url)
    }

    /// The name of a repository there, without `path`: `library/` is added where the upstream wants it.
    pub fn name_there(&self, name: &str) -> String {
        match self.library && !name.contains('/') {
            true => format!("library/{name}"),
            false => name.to_owned(),
        }
    }
}

/// An upstream, and the path of its section, such as `proxy.upstreams[0]`.
pub(crate) struct LocatedUpstream {
    pub(crate) path: String,
    pub(crate) config: CacheUpstream,
}

/// The upstreams, and the problems of those that are not complete.
#[derive(Default)]
pub(super) struct Resolution {
    /// Each with the path of its section, such as `proxy.upstreams[0]`.
    pub(super) upstreams: Vec<(String, CacheUpstream)>,
    /// The names of all entries of `upstreams`, with those that are not complete.
    pub(super) names: Vec<Names>,
    /// The path of a key, and a message.
    pub(super) problems: Vec<(String, String)>,
}

impl ProxyConfig {
    /// The name of the upstream of `remoteurl`.
    pub(crate) const REMOTE: &'static str = "remote";

    /// Whether any registry is cached.
    pub fn is_cache(&self) -> bool {
        self.remoteurl.is_some() || !self.upstreams.is_empty()
    }

    /// The registries that are cached, in the order of the file. A configuration that was loaded has no others.
    pub fn resolved_upstreams(&self) -> Vec<CacheUpstream> {
        self.resolve().upstreams.into_iter().map(|(_, upstream)| upstream).collect()
    }

    /// The same, each with its section.
    pub(crate) fn located_upstreams(&self) -> Vec<LocatedUpstream> {
        let located = |(path, config)| LocatedUpstream { path, config };
        self.resolve().upstreams.into_iter().map(located).collect()
    }

    /// How long an image is kept after its last pull; `None` is for ever.
    pub fn expiry(&self) -> Option<Duration> {
        (!self.ttl.is_zero()).then_some(self.ttl)
    }

    /// The most that all caches keep, in bytes.
    pub fn max_size_bytes(&self) -> Option<u64> {
        (self.maxsize.0 > 0).then_some(self.maxsize.0)
    }

    /// How long one write to the store may take; as in Distribution, zero means the default.
    pub fn write_timeout(&self) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(5 * 60);
        if self.cachewritetimeout.is_zero() { DEFAULT } else { self.cachewritetimeout }
    }

    pub(super) fn resolve(&self) -> Resolution {
        let mut resolution = Resolution::default();
        if let Some(remote) = self.remote() {
            resolution.add("proxy", &remote, None, &[]);
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let path = format!("proxy.upstreams[{index}]");
            let prefix = upstream.prefix().unwrap_or_else(|problem| {
                resolution.problems.push((format!("{path}.prefix"), problem));
                None
            });
            let ns = self.ns(upstream, prefix.as_ref());
            resolution.add(&path, upstream, prefix.as_ref(), &ns);
            let (name, hosts) = (upstream.name.clone(), upstream.hosts.clone());
            resolution.names.push(Names { path, name, prefix, ns, hosts });
        }
        resolution
    }

    /// `remoteurl` as an entry of `upstreams` that behaves as Distribution does.
    fn remote(&self) -> Option<UpstreamConfig> {
        let url = self.remoteurl.clone()?;
        let mut remote = UpstreamConfig {
            name: Some(Self::REMOTE.to_owned()),
            url: Some(url),
            username: self.username.clone(),
            password: self.password.clone(),
            exec: self.exec.clone(),
            public: self.public,
            ..UpstreamConfig::with_defaults()
        };
        remote.tags = UpstreamTags {
            fresh: Duration::ZERO,
            stale: None,
            deleted: WhenGone::Keep,
            refused: WhenGone::Keep,
            immutable: Vec::new(),
            missing: Duration::ZERO,
        };
        Some(remote)
    }

    /// The values of `ns` that mean an entry. A default that another entry names is that entry's.
    fn ns(&self, upstream: &UpstreamConfig, prefix: Option<&RepositoryPath>) -> Vec<RegistryHost> {
        let mut hosts = upstream.ns.clone();
        if hosts.is_empty() {
            // The parser also knows other spellings of addresses, such as `10` for `0.0.0.10`.
            let of_prefix = prefix.map(RepositoryPath::as_str).and_then(|prefix| {
                prefix.parse::<RegistryHost>().ok().filter(|host| host.as_str() == prefix)
            });
            hosts.extend(of_prefix);
            hosts.extend(upstream.url.as_ref().map(RegistryUrl::registry));
            hosts.retain(|host| !self.upstreams.iter().any(|other| other.ns.contains(host)));
        }
        let mut seen = BTreeSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        hosts
    }
}

/// The names by which requests select an entry of `upstreams`.
pub(super) struct Names {
    /// Of its section, such as `proxy.upstreams[0]`.
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) prefix: Option<RepositoryPath>,
    pub(super) ns: Vec<RegistryHost>,
    pub(super) hosts: Vec<RegistryHost>,
}

/// A prefix for a host that is not a valid prefix itself.
fn suggested_prefix(host: &RegistryHost) -> String {
    let name = host.host().trim_end_matches('.').to_owned();
    match name.parse::<RepositoryPath>() {
        Ok(prefix) => prefix.as_str().to_owned(),
        Err(_) => "mirror".to_owned(),
    }
}

impl Resolution {
    /// Adds the upstream of the section at `path`, or its problems.
    fn add(
        &mut self,
        path: &str,
        upstream: &UpstreamConfig,
        prefix: Option<&RepositoryPath>,
        ns: &[RegistryHost],
    ) {
        let mut problem = |key: &str, message: String| self.problems.push((format!("{path}.{key}"), message));
        if upstream.name.is_none() {
            problem(
                "name",
                "is missing; give one such as `hub`, for `default`, the log and the metrics".to_owned(),
            );
        }
        if upstream.url.is_none() {
            problem(
                "url",
                "is missing; give the registry's, such as `https://registry-1.docker.io`".to_owned(),
            );
        }
        let account = upstream.account().map_err(|(key, message)| problem(key, message));
        let (Some(name), Some(url), Ok(account)) = (&upstream.name, &upstream.url, account) else { return };
        let hosts = |list: &[RegistryHost]| list.iter().map(|host| host.host().to_owned()).collect();
        let resolved = CacheUpstream {
            name: name.clone(),
            url: url.as_url().clone(),
            prefix: prefix.map(|prefix| prefix.as_str().to_owned()),
            ns: ns.to_vec(),
            hosts: upstream.hosts.clone(),
            library: upstream.library.unwrap_or(url.is_docker_hub()),
            path: upstream.path.as_ref().map(|path| path.as_str().to_owned()),
            account,
            realms: hosts(&upstream.realms),
            redirects: hosts(&upstream.redirects),
            ca: upstream.ca.clone(),
            clientcertificate: upstream.clientcertificate.clone(),
            clientkey: upstream.clientkey.clone(),
            repositories: upstream.repositories.clone(),
            tags: upstream.tags.clone(),
            maxsize: Some(upstream.maxsize.0).filter(|size| *size > 0),
            connections: upstream.connections,
            requests: Some(upstream.requests).filter(|count| *count > 0),
            bandwidth: Some(upstream.bandwidth.0).filter(|bytes| *bytes > 0),
            complete: upstream.complete,
            timeouts: upstream.timeouts.clone(),
            public: upstream.public,
        };
        self.upstreams.push((path.to_owned(), resolved));
    }
}

impl UpstreamConfig {
    /// An entry without a key.
    #[expect(clippy::expect_used, reason = "the defaults are part of the program, and a test reads them")]
    fn with_defaults() -> Self {
        let mut tree = Node::empty_map(&Origin::Default);
        complete_part(&mut tree, &Self::KIND);
        Self::read(&tree).expect("invariant: no key of an upstream is required by its type")
    }

    /// Where its repositories are, `None` if that needs a `url`; or what is wrong with the default.
    fn prefix(&self) -> Result<Option<RepositoryPath>, String> {
        if self.prefix.is_some() {
            return Ok(self.prefix.clone());
        }
        let Some(host) = self.url.as_ref().map(RegistryUrl::registry) else { return Ok(None) };
        host.as_str().parse().map(Some).map_err(|_| {
            format!(
                "is missing, and its default `{host}`, the host of `url`, cannot begin a repository name: give `prefix`, such as \
                 `{}`",
                suggested_prefix(&host)
            )
        })
    }
}
