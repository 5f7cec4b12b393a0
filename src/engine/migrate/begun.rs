//! `Begun`: the marker of a store that a migration fills.

use std::sync::Arc;
use std::time::SystemTime;

use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use crate::StoreIdentity;
use crate::clock::{millis, time_of};
use crate::layout::Entry;

/// The marker of a store that a migration fills. It stays until the migration of the whole store is finished.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Begun {
    /// The store that is copied, in the words of the command that does.
    pub from: String,
    /// When the migration began.
    pub at: SystemTime,
    /// The target held other content, so nothing may ever be removed there.
    pub merge: bool,
    /// The parts that are finished, as patterns of repositories: what lies there is the target's own.
    pub finished: Vec<String>,
    /// The identity of the store that is copied; an earlier version recorded none.
    pub source: Option<StoreIdentity>,
}

#[derive(Deserialize, Serialize)]
struct Content {
    from: String,
    begun_ms: u64,
    #[serde(default)]
    merge: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finished: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<StoreIdentity>,
}

impl Begun {
    /// Reads the marker of a store; `None` if it has none, or one that cannot be understood.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn read(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Option<Self>> {
        let content = driver.get_content_if_any(&Entry::MigrationBegun.path()).await?;
        let content: Option<Content> = content.and_then(|content| serde_json::from_slice(&content).ok());
        Ok(content.map(|content| {
            let Content { from, begun_ms, merge, finished, source } = content;
            Self { from, at: time_of(begun_ms), merge, finished, source }
        }))
    }

    pub(super) async fn write(&self, driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<()> {
        let Self { from, at, merge, finished, source } = self.clone();
        let content = Content { from, begun_ms: millis(at), merge, finished, source };
        let content = serde_json::to_vec(&content).unwrap_or_default();
        driver.put_content(&Entry::MigrationBegun.path(), content.into(), PutMode::Overwrite).await
    }

    /// The patterns among `part` that are finished; none unless all are.
    pub(super) fn finished_part(&self, part: &[String]) -> Option<String> {
        let is_finished = !part.is_empty() && part.iter().all(|pattern| self.finished.contains(pattern));
        is_finished.then(|| part.join(", "))
    }
}
