//! `Eviction`: what a collection evicts from caches. `Scope`: where it collects.

use std::collections::HashMap;
use std::time::Duration;

/// The eviction of a collection from the caches of other registries, which the registry knows
/// ([`RegistryBuilder::caches`](crate::RegistryBuilder::caches)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Eviction {
    /// Evicts manifests that were not used for so long, to the hour; `None` evicts none for that.
    pub ttl: Option<Duration>,
    /// The most bytes of all caches together: of blobs that only caches need. Above that, those used longest ago are evicted
    /// until 90 % of it are left, and there is room for what had none. `None` is no bound.
    pub max_bytes: Option<u64>,
    /// The most bytes of the caches below a prefix, likewise: of blobs that only those need.
    pub max_bytes_below: HashMap<String, u64>,
    /// Younger links in caches stay. It may be shorter than the grace period of a collection, since no client pushes into a
    /// cache. A layer link that no manifest of its repository explains has that of the collection all the same: a copy on a
    /// schedule stores the manifest last, and a large image takes hours.
    pub grace: Duration,
}

impl Default for Eviction {
    /// Evicts nothing.
    fn default() -> Self {
        let grace = Duration::from_secs(60 * 60);
        Self { ttl: None, max_bytes: None, max_bytes_below: HashMap::new(), grace }
    }
}

/// Which repositories a collection collects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// All.
    #[default]
    All,
    /// The caches of other registries. All other repositories keep each link and each file, and the data that records of their
    /// removed tags name. Data that nothing refers to are garbage as ever.
    Caches,
}
