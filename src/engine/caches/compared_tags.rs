//! `ComparedTags`: when each tag of a cache was last what its upstream says.

use std::sync::Arc;
use std::time::SystemTime;

use sampan_driver::StorageDriver;
use tokio::sync::OnceCell;

use super::UseTable;
use super::record_kind::RecordKind;
use super::use_table::key_of_tag;
use crate::oci::{RepositoryName, Tag};
use crate::{Clock, Result};

/// When each tag of a cache was last what its upstream says, to the second: while the upstream is away, a rule may bound how
/// old a tag is served, also after a restart.
///
/// It is bounded as a [`UseTable`], and each process has a file of its own. A lost row makes a tag look older than it is.
#[derive(Debug)]
pub struct ComparedTags {
    table: UseTable,
    /// Whether the files of other processes were read.
    loaded: OnceCell<()>,
}

impl ComparedTags {
    /// Creates an empty record.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { table: UseTable::of_kind(RecordKind::Comparisons, clock), loaded: OnceCell::new() }
    }

    /// Records that the tag is now what its upstream says.
    pub fn note_compared(&self, name: &RepositoryName, tag: &Tag) {
        let now = self.table.kind.units_of(self.table.clock.now());
        self.table.raise(key_of_tag(name.as_str(), tag), now);
    }

    /// When the tag was last compared; `None` if that is not recorded.
    pub fn last_compared(&self, name: &RepositoryName, tag: &Tag) -> Option<SystemTime> {
        self.table.row(&key_of_tag(name.as_str(), tag)).map(|units| self.table.kind.time_of(units))
    }

    /// Reads the files of other processes, once; calls at the same time wait for it.
    ///
    /// # Errors
    ///
    /// Any error of the store; then the next call tries again.
    pub async fn load(&self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        self.loaded.get_or_try_init(async || self.table.merge_all(driver).await.map(drop)).await?;
        Ok(())
    }

    /// Writes the file of this process, as [`UseTable::save`] does.
    ///
    /// # Errors
    ///
    /// Any error of the store; then the next call tries again.
    pub async fn save(&self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        self.table.save(driver).await
    }
}
