//! The section `storage`: one driver, and what the engine does with it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::values::{duration, words};
use super::{Node, Origin};

/// Where content is kept, and by which rules.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The one driver section; [`load`](super::Config::load) puts it here, since its key is its name.
    #[serde(skip)]
    pub driver: Selected,
    /// Whether clients may delete.
    pub delete: DeleteConfig,
    /// Whether clients may be sent to the store itself.
    pub redirect: RedirectConfig,
    /// The cache of blob descriptors.
    pub cache: CacheConfig,
    /// How tags are looked up.
    pub tag: TagConfig,
    /// Read-only mode and the purging of abandoned uploads.
    pub maintenance: MaintenanceConfig,
}

/// A driver's section, not yet understood: only the driver knows its parameters.
#[derive(Clone)]
pub struct Selected {
    name: String,
    params: Node,
}

impl Selected {
    /// A section by its name.
    pub(crate) fn new(name: &str, params: Node) -> Self {
        Self { name: name.to_owned(), params }
    }

    /// The key of the section, such as `filesystem`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The section itself.
    pub(crate) fn params(&self) -> &Node {
        &self.params
    }

    /// Takes out the parameter that the path of a diagnostic leads to, such as `storage.filesystem.maxthreads`, if there is one.
    pub(crate) fn remove_parameter(&mut self, path: &str) -> bool {
        let parameter = path.strip_prefix("storage.").and_then(|path| path.strip_prefix(self.name.as_str()));
        let Some(parameter) = parameter.and_then(|parameter| parameter.strip_prefix('.')) else {
            return false;
        };
        let key = parameter.split(['.', '[']).next().unwrap_or_default();
        self.params.remove(key).is_some()
    }

    /// Where the section stands.
    pub fn origin(&self) -> &Origin {
        &self.params.origin
    }
}

impl Default for Selected {
    fn default() -> Self {
        Self { name: String::new(), params: Node::null(&Origin::Default) }
    }
}

impl PartialEq for Selected {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.params == other.params
    }
}

/// Shows which parameters are set and none of their values, some of which are secrets.
impl fmt::Debug for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected").field("name", &self.name).field("params", &self.params).finish()
    }
}

/// `storage.delete`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DeleteConfig {
    /// Whether clients may delete manifests, blobs and tags.
    pub enabled: bool,
}

/// `storage.redirect`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    /// Whether bytes always go through the registry.
    pub disable: bool,
}

/// `storage.cache`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Where blob descriptors are cached, if at all.
    pub blobdescriptor: Option<DescriptorCacheKind>,
    /// How many the cache in memory holds.
    pub blobdescriptorsize: i64,
}

impl CacheConfig {
    /// How many descriptors the cache in memory may hold; nothing and below means no limit.
    pub fn limit(&self) -> Option<usize> {
        usize::try_from(self.blobdescriptorsize).ok().filter(|size| *size > 0)
    }
}

words! {
    /// Where blob descriptors are cached.
    pub enum DescriptorCacheKind {
        /// In this process.
        InMemory = "inmemory",
        /// In a redis server, those of manifests; see [`RedisConfig`](super::RedisConfig).
        Redis = "redis",
    }
}

/// `storage.tag`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TagConfig {
    /// How many tags are looked at in parallel; 0 or none means as many as there are processors.
    pub concurrencylimit: Option<u32>,
}

/// `storage.maintenance`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// Read-only mode.
    pub readonly: ReadOnlyConfig,
    /// The purging of abandoned uploads.
    pub uploadpurging: UploadPurgingConfig,
}

/// `storage.maintenance.readonly`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ReadOnlyConfig {
    /// Whether every write is refused.
    pub enabled: bool,
}

/// `storage.maintenance.uploadpurging`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct UploadPurgingConfig {
    /// Whether abandoned uploads are removed.
    pub enabled: bool,
    /// How old an upload must be.
    #[serde(deserialize_with = "duration")]
    pub age: Duration,
    /// How often to look.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// Whether to log only what would be removed.
    pub dryrun: bool,
}
