//! `LastRun`: when the store was last collected, for all who share it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use super::Result;
use super::caution::bounded;
use super::options::Options;
use crate::Registry;
use crate::layout::Entry;
use crate::lease::millis;

/// The last collection of a store that came to its end, whoever ran it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastRun {
    begun_ms: u64,
    /// Whether untagged manifests went.
    pub delete_untagged: bool,
    /// The first parts of the names of the repositories that it left, with how many begin so.
    #[serde(default)]
    pub(super) names: BTreeMap<String, u64>,
}

impl LastRun {
    /// What the store says; `None` when it was never collected, or that cannot be read.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    pub async fn of(registry: &Registry) -> Result<Option<Self>> {
        let content = registry.driver().get_content_if_any(&Entry::CollectionLast.path()).await?;
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
    }

    /// When it began.
    pub fn begun(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.begun_ms)
    }

    pub(super) fn beginning(now: SystemTime, options: &Options) -> Self {
        Self { begun_ms: millis(now), delete_untagged: options.delete_untagged, names: BTreeMap::new() }
    }

    pub(super) fn leaving(self, names: BTreeMap<String, u64>) -> Self {
        Self { names: bounded(names), ..self }
    }

    pub(super) async fn write(self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        let content = Bytes::from(serde_json::to_vec(&self).unwrap_or_default());
        Ok(driver.put_content(&Entry::CollectionLast.path(), content, PutMode::Overwrite).await?)
    }
}
