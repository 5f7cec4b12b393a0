//! The keys of the section `proxy`.

use std::path::PathBuf;
use std::time::Duration;

use crate::Secret;
use crate::section::section;
use crate::values::{ByteSize, Pattern, RegistryHost, RegistryUrl, RepositoryPath, RepositoryPattern, words};

section! {
    /// The registries whose content is fetched when clients ask for it, and kept.
    pub struct ProxyConfig {
        /// The registry that this whole registry is a cache of; excludes `upstreams`.
        pub remoteurl: Option<RegistryUrl>,
        /// The account at `remoteurl`.
        pub username: Option<String>,
        /// Its password.
        pub password: Option<Secret<String>>,
        /// A credential helper of docker, in place of both.
        pub exec: Option<ProxyExecConfig>,
        /// Confirms that all clients may read what the account at `remoteurl` can read.
        pub public: bool = "false"; ours,
        /// An image that was not pulled for so long is removed from the cache; `0s` keeps it.
        pub ttl: Duration = "168h",
        /// How long one write to the store may take.
        pub cachewritetimeout: Duration = "5m",
        /// Answers from the store only, and asks no upstream.
        pub offline: bool = "false"; ours,
        /// The `name` of the upstream for names of repositories that are below no `prefix` and not `local`.
        pub default: Option<String>; ours,
        /// Repositories that `default` is never asked for.
        pub local: Vec<RepositoryPattern>; ours,
        /// The most that all caches keep; a collection removes what was not pulled for longest. `0` is no bound.
        pub maxsize: ByteSize = "0"; ours,
        /// A directory for running transfers, over object stores, whose files cannot be read before they are complete; over a directory, for those that continue while the store is full.
        pub spool: Option<PathBuf>; ours; default_meaning("the directory for temporary files"),
        /// The registries, each with a place of its own in the names of repositories.
        pub upstreams: Vec<UpstreamConfig>; ours,
    }
}

section! {
    /// `exec` of `proxy` or of an upstream: a credential helper of docker.
    pub struct ProxyExecConfig {
        /// The program; it is called with `get` and reads the registry's host from its input.
        pub command: Option<String>; default_meaning("required"),
        /// How long its answer is used. Unset, until the upstream refuses it; `0s`, for one request.
        pub lifetime: Option<Duration>,
    }
}

section! {
    /// An entry of `proxy.upstreams`.
    pub struct UpstreamConfig {
        /// A name for `default`, the log and the metrics: letters, digits, `-`, `_` and `.`.
        pub name: Option<String>; default_meaning("required"),
        /// The registry; a path is where its API is, as in `https://host.example/artifactory/api/docker/remote`.
        pub url: Option<RegistryUrl>; default_meaning("required"),
        /// Where its repositories are among ours: `docker.io` makes `library/nginx` there `docker.io/library/nginx` here.
        pub prefix: Option<RepositoryPath>; default_meaning("the host of `url`; for Docker Hub `docker.io`"),
        /// The registries that clients mean by it in the parameter `ns`; a default that another entry names is that entry's.
        pub ns: Vec<RegistryHost>; default_meaning("`prefix` and the host of `url`"),
        /// Hosts under which this registry is a cache of the upstream alone, without the prefix; without a port, on any port.
        pub hosts: Vec<RegistryHost>,
        /// Adds `library/` to names of one component.
        pub library: Option<bool>; default_meaning("`true` for Docker Hub, else `false`"),
        /// The beginning of its repositories' names that ours leave out: `team` makes `team/app` there `PREFIX/app` here.
        pub path: Option<RepositoryPath>,
        /// The account there.
        pub username: Option<String>,
        /// Its password.
        pub password: Option<Secret<String>>,
        /// A file with its password.
        pub passwordfile: Option<PathBuf>,
        /// A credential helper of docker, in place of an account.
        pub exec: Option<ProxyExecConfig>,
        /// A `config.json` of docker or an `auth.json` of podman, in place of an account.
        pub dockerconfig: Option<PathBuf>,
        /// Confirms that all clients may read what this account can read.
        pub public: bool = "false",
        /// Hosts of token servers in other domains that get the credentials, on any port.
        pub realms: Vec<RegistryHost>,
        /// Hosts at private addresses, or on this machine, that it may redirect to, on any port.
        pub redirects: Vec<RegistryHost>,
        /// A PEM file of authorities to trust besides those of the system.
        pub ca: Option<PathBuf>,
        /// A PEM file with a client certificate.
        pub clientcertificate: Option<PathBuf>,
        /// A PEM file with its key.
        pub clientkey: Option<PathBuf>; default_meaning("the file of the certificate"),
        /// Which of its repositories may be asked for, by their names there.
        pub repositories: UpstreamRepositories,
        /// How long its answers about tags are used.
        pub tags: UpstreamTags,
        /// The most that this cache keeps; `0` is no bound.
        pub maxsize: ByteSize = "0",
        /// The most requests at a time; 1 at least.
        pub connections: usize = "16",
        /// The most requests in a second; `0` is no bound.
        pub requests: u32 = "0",
        /// The most bytes in a second; `0` is no bound.
        pub bandwidth: ByteSize = "0",
        /// After so long, fetches the layers of a pulled image that its client had already; `0s` is never.
        pub complete: Duration = "0s",
        /// How long the upstream may be silent.
        pub timeouts: UpstreamTimeouts,
    }
}

section! {
    /// `repositories` of an upstream. Patterns as those of `access`, without `${user}`.
    pub struct UpstreamRepositories {
        /// These alone; none means all.
        pub allow: Vec<RepositoryPattern>,
        /// Exceptions to `allow`.
        pub deny: Vec<RepositoryPattern>,
    }
}

impl UpstreamRepositories {
    /// Whether a repository may be asked for, by its name there. The patterns are compiled for that: for a check, not for a
    /// request.
    pub(crate) fn allows(&self, name: &str) -> bool {
        let any = |patterns: &[RepositoryPattern]| patterns.iter().any(|pattern| pattern.is_match(name));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }
}

section! {
    /// `tags` of an upstream.
    pub struct UpstreamTags {
        /// A tag is not compared with the upstream again within this time.
        pub fresh: Duration = "30s",
        /// How long a tag is served while the upstream is away; unset, for ever.
        pub stale: Option<Duration>,
        /// Whether a tag is served that the upstream has no more: `keep` or `forget`.
        pub deleted: WhenGone = "keep",
        /// The same, if the upstream refuses the configured account for it.
        pub refused: WhenGone = "forget",
        /// Tags that never change, as regular expressions: a stored one is not compared with the upstream again.
        pub immutable: Vec<Pattern>,
        /// How long "not found" is remembered.
        pub missing: Duration = "30s",
    }
}

words! {
    /// The treatment of a stored tag that the upstream no longer gives.
    pub enum WhenGone {
        /// It is served.
        Keep = "keep",
        /// It is removed.
        Forget = "forget",
    }
}

section! {
    /// `timeouts` of an upstream.
    pub struct UpstreamTimeouts {
        /// To connect, TLS included.
        pub connect: Duration = "5s",
        /// From a request to the headers of its answer. All of a token has half as long again.
        pub answer: Duration = "30s",
        /// Between two pieces of a body.
        pub stall: Duration = "60s",
    }
}
