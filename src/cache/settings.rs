//! `CacheSettings`: the upstreams, their places in our names, and the bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sampan_client::{ClientOptions, RegistryAddress};
use sampan_engine::oci::{RepositoryName, Tag};

/// A rule for names of repositories.
pub type NameRule = Arc<dyn Fn(&str) -> bool + Send + Sync>;
/// A rule for tags.
pub type TagRule = Arc<dyn Fn(&Tag) -> bool + Send + Sync>;

/// The caches of a registry.
#[derive(Clone)]
pub struct CacheSettings {
    /// The upstreams; their names and prefixes differ.
    pub upstreams: Vec<UpstreamSettings>,
    /// The name of the upstream for repositories that are below no prefix and not local.
    pub default: Option<String>,
    /// The repositories that the default upstream is not asked for.
    pub local: NameRule,
    /// Whether no upstream is asked.
    pub offline: bool,
}

/// A registry to cache.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// The name in the log, in metrics and in errors.
    pub name: String,
    /// Where it is.
    pub address: RegistryAddress,
    /// Where its repositories are among ours; `None` if all of ours are its.
    pub prefix: Option<RepositoryName>,
    /// The registries that clients mean by it in `ns`: lower case, without the port of https.
    pub ns: Vec<String>,
    /// Names of ours under which it alone is served: lower case; one without a port means any.
    pub hosts: Vec<String>,
    /// Whether a name of one component gets `library/`.
    pub library: bool,
    /// The path there below which its repositories are.
    pub path: Option<RepositoryName>,
    /// The repositories that may be asked for, by their names there without `path`.
    pub allowed: NameRule,
    /// The rules for tags.
    pub tags: TagSettings,
    /// Login, TLS and timeouts.
    pub client: ClientOptions,
    /// The most requests at a time.
    pub connections: usize,
    /// The most requests in a second; 0 is no bound.
    pub requests_per_second: u32,
    /// The most bytes of blobs in a second; 0 is no bound.
    pub bytes_per_second: u64,
    /// The delay after which the blobs of a manifest are fetched that no client asked for; zero never fetches them.
    pub complete: Duration,
}

/// How long an upstream's answer for a tag is used.
#[derive(Clone)]
pub struct TagSettings {
    /// A tag is not compared again within this time.
    pub fresh: Duration,
    /// The greatest age of a tag that is served while the upstream is away; `None` for any age.
    pub stale: Option<Duration>,
    /// The treatment of a stored tag that the upstream no longer has.
    pub deleted: WhenGone,
    /// The treatment of a stored tag for which the upstream refuses the account.
    pub refused: WhenGone,
    /// Tags that never change.
    pub immutable: TagRule,
    /// How long "not found" is remembered.
    pub missing: Duration,
}

/// The treatment of a stored tag that an upstream no longer gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenGone {
    /// It is served.
    Keep,
    /// It is deleted.
    Forget,
}

impl fmt::Debug for CacheSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheSettings")
            .field("upstreams", &self.upstreams)
            .field("default", &self.default)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("name", &self.name)
            .field("address", &self.address)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
