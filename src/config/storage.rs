//! The section `storage`: one driver, and the engine's settings.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::values::{duration, words};
use super::{Node, Origin};

/// The store and the rules for its content.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The single driver section; [`load`](super::Config::load) sets it, since its key is the driver's name.
    #[serde(skip)]
    pub driver: Selected,
    /// Whether clients may delete.
    pub delete: DeleteConfig,
    /// Whether clients are redirected to the store itself.
    pub redirect: RedirectConfig,
    /// The cache of blob descriptors.
    pub cache: CacheConfig,
    /// How to look up tags.
    pub tag: TagConfig,
    /// Read-only mode and the purging of abandoned uploads.
    pub maintenance: MaintenanceConfig,
}

/// A driver's section, unread: only the driver knows its parameters.
#[derive(Clone)]
pub struct Selected {
    name: String,
    params: Node,
}

impl Selected {
    /// The section of the driver `name`.
    pub(crate) fn new(name: &str, params: Node) -> Self {
        Self { name: name.to_owned(), params }
    }

    /// The key of the section, such as `filesystem`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The section itself.
    pub fn params(&self) -> &Node {
        &self.params
    }

    /// Removes the parameter at the path of a diagnostic, such as `storage.filesystem.maxthreads`, and returns whether it
    /// existed.
    pub fn remove_parameter(&mut self, path: &str) -> bool {
        let parameter = path.strip_prefix("storage.").and_then(|path| path.strip_prefix(self.name.as_str()));
        let Some(parameter) = parameter.and_then(|parameter| parameter.strip_prefix('.')) else {
            return false;
        };
        let key = parameter.split(['.', '[']).next().unwrap_or_default();
        self.params.remove(key).is_some()
    }

    /// The place of the section.
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

/// Shows the names of parameters but no values, since some are secrets.
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
    /// Whether all content passes through the registry.
    pub disable: bool,
}

/// `storage.cache`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// The kind of blob descriptor cache, if any.
    pub blobdescriptor: Option<DescriptorCacheKind>,
    /// The maximum number of descriptors in memory.
    pub blobdescriptorsize: i64,
}

impl CacheConfig {
    /// The maximum number of descriptors in memory; zero and negative numbers mean no limit.
    pub fn limit(&self) -> Option<usize> {
        usize::try_from(self.blobdescriptorsize).ok().filter(|size| *size > 0)
    }
}

words! {
    /// The place of the blob descriptor cache.
    pub enum DescriptorCacheKind {
        /// In the memory of this process.
        InMemory = "inmemory",
        /// On a redis server, for manifests only; see [`RedisConfig`](super::RedisConfig).
        Redis = "redis",
    }
}

/// `storage.tag`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TagConfig {
    /// The number of tags to look up in parallel; 0 or none means the number of processors.
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
    /// Whether to refuse every write.
    pub enabled: bool,
}

/// `storage.maintenance.uploadpurging`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct UploadPurgingConfig {
    /// Whether to remove abandoned uploads.
    pub enabled: bool,
    /// The minimum age of an abandoned upload.
    #[serde(deserialize_with = "duration")]
    pub age: Duration,
    /// The interval between purges.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// Whether to log what would be removed instead of removing it.
    pub dryrun: bool,
}
