//! `CacheUpstream`: a registry whose content is cached, with every default filled in.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{
    ProxyConfig, ProxyExecConfig, UpstreamConfig, UpstreamRepositories, UpstreamTags, UpstreamTimeouts,
    WhenGone,
};
use crate::defaults::complete_part;
use crate::section::Value;
use crate::values::{RegistryHost, RegistryUrl, RepositoryPath};
use crate::{Node, Origin, Secret};

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
    /// Hosts at private addresses that it may redirect to, on any port.
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
    /// How long it may be silent.
    pub timeouts: UpstreamTimeouts,
    /// Confirms that all clients may read what the account can read.
    pub public: bool,
}

/// The account at an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpstreamAccount {
    /// None.
    Anonymous,
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// A user with a password in a file.
    PasswordFile {
        /// The user.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// A credential helper of docker.
    Exec {
        /// The program.
        command: String,
        /// How long its answer is used. `None` until the upstream refuses it; zero for one request.
        lifetime: Option<Duration>,
    },
    /// A `config.json` of docker or an `auth.json` of podman.
    DockerConfig(PathBuf),
}

/// The upstreams, and the problems of those that are not complete.
#[derive(Default)]
pub(super) struct Resolution {
    /// Each with the path of its section, such as `proxy.upstreams[0]`.
    pub(super) upstreams: Vec<(String, CacheUpstream)>,
    /// The path of a key, and a message.
    pub(super) problems: Vec<(String, String)>,
}

impl ProxyConfig {
    /// Whether any registry is cached.
    pub fn is_cache(&self) -> bool {
        self.remoteurl.is_some() || !self.upstreams.is_empty()
    }

    /// The registries that are cached, in the order of the file. A configuration that was loaded has no others.
    pub fn resolved_upstreams(&self) -> Vec<CacheUpstream> {
        self.resolve().upstreams.into_iter().map(|(_, upstream)| upstream).collect()
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
            resolution.add("proxy", &remote, Names { prefix: None, ns: Vec::new() });
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let path = format!("proxy.upstreams[{index}]");
            match self.names(upstream) {
                Ok(names) => resolution.add(&path, upstream, names),
                Err(problem) => resolution.problems.push((format!("{path}.prefix"), problem)),
            }
        }
        resolution
    }

    /// `remoteurl` as an entry of `upstreams` that behaves as Distribution does.
    fn remote(&self) -> Option<UpstreamConfig> {
        let url = self.remoteurl.clone()?;
        let mut remote = UpstreamConfig {
            name: Some("remote".to_owned()),
            url: Some(url),
            username: self.username.clone(),
            password: self.password.clone(),
            exec: self.exec.clone(),
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

    /// The names of an entry. A default of `ns` that another entry names is that entry's.
    fn names(&self, upstream: &UpstreamConfig) -> Result<Names, String> {
        let host = upstream.url.as_ref().map(RegistryUrl::registry);
        let prefix = match (&upstream.prefix, &host) {
            (Some(prefix), _) => Some(prefix.clone()),
            (None, Some(host)) => Some(host.as_str().parse::<RepositoryPath>().map_err(|_| {
                format!(
                    "is missing, and its default `{host}`, the host of `url`, cannot begin a repository name: give `prefix`, such \
                     as `{}`",
                    suggested_prefix(host)
                )
            })?),
            (None, None) => None,
        };
        let mut ns = upstream.ns.clone();
        if ns.is_empty() {
            let of_prefix = prefix.as_ref().and_then(|prefix| prefix.as_str().parse::<RegistryHost>().ok());
            // The parser also knows other spellings of addresses, such as `10` for `0.0.0.10`.
            let of_prefix =
                of_prefix.filter(|host| prefix.as_ref().is_some_and(|it| it.as_str() == host.as_str()));
            ns.extend(of_prefix);
            ns.extend(host);
            ns.retain(|host| !self.upstreams.iter().any(|other| other.ns.contains(host)));
        }
        let mut seen = Vec::new();
        ns.retain(|host| {
            !seen.contains(host) && {
                seen.push(host.clone());
                true
            }
        });
        Ok(Names { prefix, ns })
    }
}

/// What tells an upstream from the others in requests.
struct Names {
    prefix: Option<RepositoryPath>,
    ns: Vec<RegistryHost>,
}

/// A prefix for a host that is none itself.
fn suggested_prefix(host: &RegistryHost) -> String {
    let name = host.host().trim_end_matches('.').to_owned();
    match name.parse::<RepositoryPath>() {
        Ok(prefix) => prefix.as_str().to_owned(),
        Err(_) => "mirror".to_owned(),
    }
}

impl Resolution {
    /// Adds the upstream of the section at `path`, or its problems.
    fn add(&mut self, path: &str, upstream: &UpstreamConfig, names: Names) {
        let before = self.problems.len();
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
        if self.problems.len() > before {
            return;
        }
        let (Some(name), Some(url), Ok(account)) = (&upstream.name, &upstream.url, account) else { return };
        let hosts = |list: &[RegistryHost]| list.iter().map(|host| host.host().to_owned()).collect();
        let resolved = CacheUpstream {
            name: name.clone(),
            url: url.as_url().clone(),
            prefix: names.prefix.map(|prefix| prefix.as_str().to_owned()),
            ns: names.ns,
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

    /// The one account, or the key that is wrong and a message.
    fn account(&self) -> Result<UpstreamAccount, (&'static str, String)> {
        let keys = [
            ("password", self.password.is_some()),
            ("passwordfile", self.passwordfile.is_some()),
            ("exec", self.exec.is_some()),
            ("dockerconfig", self.dockerconfig.is_some()),
        ];
        let mut given = keys.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            return Err((
                second,
                format!("is a second way to the account, beside `{first}`: keep one of them"),
            ));
        }
        let user = || {
            let message = "needs `username` beside it".to_owned();
            self.username.clone().ok_or(message)
        };
        let needless = |key: &str| match self.username {
            Some(_) => {
                Err(("username", format!("has no use beside `{key}`, which gives the user, too: remove it")))
            }
            None => Ok(()),
        };
        if let Some(password) = &self.password {
            let user = user().map_err(|message| ("password", message))?;
            return Ok(UpstreamAccount::Password { user, password: password.clone() });
        }
        if let Some(path) = &self.passwordfile {
            let user = user().map_err(|message| ("passwordfile", message))?;
            return Ok(UpstreamAccount::PasswordFile { user, path: path.clone() });
        }
        if let Some(ProxyExecConfig { command, lifetime }) = &self.exec {
            needless("exec")?;
            let command = command.clone().ok_or_else(|| {
                (
                    "exec.command",
                    "is missing; name a program such as `docker-credential-ecr-login`".to_owned(),
                )
            })?;
            return Ok(UpstreamAccount::Exec { command, lifetime: *lifetime });
        }
        if let Some(path) = &self.dockerconfig {
            needless("dockerconfig")?;
            return Ok(UpstreamAccount::DockerConfig(path.clone()));
        }
        match self.username {
            Some(_) => Err(("username", "has no password: give `password` beside it".to_owned())),
            None => Ok(UpstreamAccount::Anonymous),
        }
    }
}
