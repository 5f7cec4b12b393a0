//! The section `storage`: one driver, and the rules for its content.

use std::fmt;
use std::time::Duration;

use super::findings::Findings;
use super::gc::GcConfig;
use super::key::{Choice, Disclosure, Key, Kind};
use super::section::{Value, keys, section};
use super::values::words;
use super::{Node, NodeError, Origin, drivers, selection};

keys! {
    /// The store and the rules for its content.
    pub struct StorageConfig {
        besides
        /// The single driver section.
        pub driver: Selected,
        /// Deletion by clients.
        pub delete: DeleteConfig,
        /// Redirection of clients to the store itself.
        pub redirect: RedirectConfig,
        /// The cache of blob descriptors.
        pub cache: CacheConfig,
        /// How to look up tags.
        pub tag: TagConfig,
        /// Read-only mode and the purging of abandoned uploads.
        pub maintenance: MaintenanceConfig,
        // The old place of the section `gc`; `renew` moves it before every other stage.
        key Key::new("gc", Kind::Optional(GcConfig::KEYS)),
    }
}

/// `known` also lists drivers that other crates build, so that their variables match; `Drivers` knows which exist.
pub(crate) const STORAGE: Choice = Choice { helpers: StorageConfig::KEYS, known: drivers::KNOWN, open: true };

impl Value for StorageConfig {
    const KIND: Kind = Kind::Choice(&STORAGE);
    const SHOWING: Disclosure = Disclosure::Usual;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        let (driver, helpers) = selection::driver(node, &STORAGE)?;
        Ok(Self { driver, ..Self::read_keys(&helpers)? })
    }

    fn absent() -> Option<Self> {
        None
    }
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

section! {
    /// `storage.delete`.
    pub struct DeleteConfig {
        /// Lets clients delete manifests, blobs and tags.
        pub enabled: bool = "false",
    }
}

section! {
    /// `storage.redirect`.
    pub struct RedirectConfig {
        /// Sends all bytes through the registry, even if clients could fetch them from the store itself.
        pub disable: bool = "false",
    }
}

section! {
    /// `storage.cache`.
    pub struct CacheConfig {
        /// The registry keeps manifests in memory without it, too (16 MiB of them, and 8 MiB of blobs of at most 32 KiB); with
        /// `inmemory`, `blobdescriptorsize` says how many; `redis` keeps sizes and types of manifests in a Redis server, see
        /// below.
        pub blobdescriptor: Option<DescriptorCacheKind>,
        key Key::of::<Option<DescriptorCacheKind>>("layerinfo").meaning("The old name of `blobdescriptor`; a warning."),
        /// How many manifests are kept in memory, of 2 KiB each; 0 and less means no limit but 256 MiB.
        pub blobdescriptorsize: i64 = "10000",
    }
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

section! {
    /// `storage.tag`.
    pub struct TagConfig {
        /// How many tags are looked at in parallel when a manifest is deleted; none or 0 means 16.
        pub concurrencylimit: Option<u32>,
    }
}

section! {
    /// `storage.maintenance`.
    pub struct MaintenanceConfig {
        /// The purging of abandoned uploads.
        pub uploadpurging: UploadPurgingConfig,
        /// Read-only mode.
        pub readonly: ReadOnlyConfig,
    }
}

section! {
    /// `storage.maintenance.readonly`.
    pub struct ReadOnlyConfig {
        /// Refuses every write, and writes nothing itself: a read-only medium will do.
        pub enabled: bool = "false",
    }
}

section! {
    /// `storage.maintenance.uploadpurging`.
    pub struct UploadPurgingConfig {
        /// Removes abandoned uploads.
        pub enabled: bool = "true",
        /// How old they must be.
        pub age: Duration = "168h",
        /// How often one of the registries over a store looks for them; `/docker/registry/sampan/purge/` tells the others when.
        /// Each makes its own dry runs.
        pub interval: Duration = "24h",
        /// Only logs the uploads that it would remove.
        pub dryrun: bool = "false",
    }
}

impl StorageConfig {
    /// Checks the rules. The driver checks its own parameters.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        let purging = &self.maintenance.uploadpurging;
        for (key, value) in [("age", purging.age), ("interval", purging.interval)] {
            if purging.enabled && value.is_zero() {
                found.mistake(
                    &format!("storage.maintenance.uploadpurging.{key}"),
                    "must be longer than zero; to stop purging set `enabled: false`",
                );
            }
        }
        if self.driver.name() == drivers::BUNDLE_NAME && !self.maintenance.readonly.enabled {
            found.mistake(
                "storage.maintenance.readonly.enabled",
                "is false, but a registry over bundles is read-only; remove the key",
            );
        }
    }
}
