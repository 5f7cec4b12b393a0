//! `check_stays`: whether what a backup or a restore writes to a store will stay there.

use std::sync::Arc;

use sampan_driver::StorageDriver;

use super::{Error, Result};
use crate::layout::Entry;
use crate::migrate::{Begun, Moved};

/// Fails if the end of a migration removes what is written to the store meanwhile, or the store was moved. The end of a part
/// removes nothing in the parts that are finished, nor that of a merge anything.
///
/// # Errors
///
/// `Filled`, `Moved`; any error of the store.
pub(super) async fn check_stays(driver: &Arc<dyn StorageDriver>) -> Result<()> {
    if let Some(Begun { from, finished, merge, .. }) = Begun::read(driver).await?
        && !merge
        && finished.is_empty()
    {
        return Err(Error::Filled { from, mark: Entry::MigrationBegun.path() });
    }
    match Moved::read(driver).await? {
        Some(Moved { to, .. }) => Err(Error::Moved { to, mark: Entry::Moved.path() }),
        None => Ok(()),
    }
}
