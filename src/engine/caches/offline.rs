//! Which processes are offline: `sampan/cache/offline/<uuid>`, one file for each.
//!
//! What a collection evicts cannot be fetched again while a process is offline, so every collector reads these files. A process
//! renews its file; one that was killed leaves a file that soon counts no more.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{PutMode, StorageDriver};

use crate::layout::{self, Entry};
use crate::{Registry, Result};

/// How long a file counts. A process renews it several times in that.
const FILE_TTL: Duration = Duration::from_secs(60 * 60);

/// How old a file must be before another process removes it.
const OUTDATED: Duration = Duration::from_secs(24 * 60 * 60);

impl Registry {
    /// Notes for the collectors of all processes whether this one is offline. A process that stays offline repeats it within the
    /// hour. A read-only registry notes nothing.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn note_offline(&self, is_offline: bool) -> Result<()> {
        let Ok(_write) = self.begin_write() else { return Ok(()) };
        let path = Entry::CacheOffline(self.cache_uses().replica()).path();
        match is_offline {
            true => {
                Ok(self.driver().put_content(&path, Bytes::from_static(b"1"), PutMode::Overwrite).await?)
            }
            false => Ok(self.driver().delete(&path).await?),
        }
    }

    /// Whether any process is offline.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn is_any_offline(&self) -> Result<bool> {
        let since = self.clock().ago(FILE_TTL);
        let mut files = self.driver().walk(&layout::cache_offline_root(), None);
        while let Some(file) = files.try_next().await? {
            if file.modified > since && matches!(Entry::parse(&file.path), Some(Entry::CacheOffline(_))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes files of processes that were killed while they were offline.
    pub(crate) async fn remove_outdated_offline(&self) -> Result<()> {
        let before = self.clock().ago(OUTDATED);
        let mut files = self.driver().walk(&layout::cache_offline_root(), None);
        while let Some(file) = files.try_next().await? {
            if file.modified < before {
                self.driver().delete(&file.path).await?;
            }
        }
        Ok(())
    }
}
