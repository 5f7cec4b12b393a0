//! `LastRun`: the last collection of a store, for all processes that share it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use super::Result;
use super::caution::bounded;
use super::eviction::{CacheSize, Scope};
use super::options::Options;
use crate::Registry;
use crate::clock::{millis, time_of};
use crate::layout::Entry;
use crate::space_reserve::put_in_reserve;

/// The last collection of a store that finished, in any process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastRun {
    /// When the last collection of all repositories began; 0 if there was none.
    begun_ms: u64,
    /// When the last collection began that evicted from caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caches_ms: Option<u64>,
    /// The sizes of the caches after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cache_sizes: Vec<CacheSize>,
    /// Whether it deleted untagged manifests.
    pub delete_untagged: bool,
    /// First path components of the repository names that it left, with how many repositories begin with each.
    #[serde(default)]
    pub(super) names: BTreeMap<String, u64>,
}

/// The state of the store after a collection.
#[derive(Debug)]
pub(super) struct CollectionLeft {
    /// First path components of the names of repositories, with how many repositories begin with each.
    pub(super) names: BTreeMap<String, u64>,
    /// The sizes of the caches, if they were counted.
    pub(super) cache_sizes: Option<Vec<CacheSize>>,
}

impl LastRun {
    /// Reads the record from the store; `None` if the store was never collected, or the record cannot be read.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn of(registry: &Registry) -> Result<Option<Self>> {
        let content = registry.driver().get_content_if_any(&Entry::CollectionLast.path()).await?;
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
    }

    /// When the last collection of all repositories began; 1970 if there was none.
    pub fn begun(&self) -> SystemTime {
        time_of(self.begun_ms)
    }

    /// When the last collection began that evicted from caches, those of all repositories included.
    pub fn caches_begun(&self) -> Option<SystemTime> {
        self.caches_ms.map(time_of)
    }

    /// The record of a collection that begins now, after another.
    pub(super) fn beginning(now: SystemTime, options: &Options, last: Option<&Self>) -> Self {
        let caches_ms = match options.evict {
            Some(_) => Some(millis(now)),
            None => last.and_then(|last| last.caches_ms),
        };
        let (begun_ms, delete_untagged) = match options.scope {
            Scope::All => (millis(now), options.delete_untagged),
            Scope::Caches => last.map_or((0, false), |last| (last.begun_ms, last.delete_untagged)),
        };
        let cache_sizes = last.map(|last| last.cache_sizes.clone()).unwrap_or_default();
        Self { begun_ms, caches_ms, cache_sizes, delete_untagged, names: BTreeMap::new() }
    }

    pub(super) fn leaving(self, left: CollectionLeft) -> Self {
        let cache_sizes = left.cache_sizes.unwrap_or(self.cache_sizes);
        Self { names: bounded(left.names), cache_sizes, ..self }
    }

    pub(super) async fn write(self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        let content = Bytes::from(serde_json::to_vec(&self).unwrap_or_default());
        Ok(put_in_reserve(driver, &Entry::CollectionLast.path(), content, PutMode::Overwrite).await?)
    }
}
