//! `StagedFiles`: the blobs that a pass copies at present, so that a pass that fails or is stopped leaves none of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures::TryStreamExt;
use parking_lot::Mutex;
use sampan_driver::{Deadline, StorageDriver};
use uuid::Uuid;

use super::Migration;
use crate::layout::{self, Entry};
use crate::link::delete_durably;

/// The blobs that a pass copies at present. A plain mutex: held only to add and remove.
#[derive(Debug, Default)]
pub(super) struct StagedFiles(Mutex<HashSet<Uuid>>);

impl StagedFiles {
    /// Names another one.
    pub(super) fn begin(&self) -> Uuid {
        let id = Uuid::new_v4();
        self.0.lock().insert(id);
        id
    }

    /// It is published or removed.
    pub(super) fn end(&self, id: Uuid) {
        self.0.lock().remove(&id);
    }
}

impl Migration {
    /// Removes what a pass that has failed, or was dropped, has copied in part. What stays for an error of the store is removed
    /// once it is [old](remove_old).
    pub(crate) async fn remove_staged(&self) {
        let left: Vec<Uuid> = self.staged.0.lock().drain().collect();
        for id in left {
            let path = Entry::MigrationStaged(id).path();
            if let Err(error) = self.target.delete(&path).await {
                tracing::debug!(%error, %path, "{path} stays");
            }
        }
    }
}

/// Removes what was last written `before`: a process that was killed has left it.
///
/// # Errors
///
/// Any error of the store.
pub(crate) async fn remove_old(driver: &Arc<dyn StorageDriver>, before: SystemTime) -> crate::Result<()> {
    let files: Vec<_> = driver.walk(&layout::migration_staged(), None).try_collect().await?;
    let old: Vec<_> = files.into_iter().filter(|file| file.modified < before).map(|file| file.path).collect();
    if old.is_empty() {
        return Ok(());
    }
    delete_durably(driver, old.clone(), &old, Deadline::NONE).await
}
