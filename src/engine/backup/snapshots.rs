//! The snapshots in a store: listing, reading, writing, and deleting them.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{Deadline, ErrorKind, PutMode, StorageDriver, StorageDriverExt};

use super::{Error, Result, Snapshot, SnapshotId};
use crate::layout::{Entry, snapshots_root};
use crate::link::delete_durably;
use sampan_host::blocking::on_blocking_pool;

/// The snapshots of a store, the oldest first.
pub(crate) async fn list(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Vec<SnapshotId>> {
    let mut files = driver.walk(&snapshots_root(), None);
    let mut found = Vec::new();
    while let Some(file) = files.try_next().await? {
        if let Some(Entry::Snapshot(seconds)) = Entry::parse(&file.path) {
            found.push(SnapshotId(seconds));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads a snapshot, or why its file is not whole; `None` if there is none of this name.
pub(crate) async fn read(
    driver: &Arc<dyn StorageDriver>,
    id: SnapshotId,
) -> sampan_driver::Result<Option<std::result::Result<Snapshot, String>>> {
    let content = driver.get_content_if_any(&Entry::Snapshot(id.0).path()).await?;
    let Some(content) = content else { return Ok(None) };
    Ok(Some(on_blocking_pool(move || Snapshot::decode(id, &content)).await))
}

/// Writes a new snapshot. Fails with [`Error::Exists`] if there is one of this name.
pub(crate) async fn write(driver: &Arc<dyn StorageDriver>, id: SnapshotId, content: Bytes) -> Result<()> {
    match driver.put_content(&Entry::Snapshot(id.0).path(), content, PutMode::Create).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Error::Exists(id)),
        written => Ok(written?),
    }
}

/// Deletes snapshots durably.
pub(crate) async fn delete(driver: &Arc<dyn StorageDriver>, ids: &[SnapshotId]) -> Result<()> {
    let paths: Vec<_> = ids.iter().map(|id| Entry::Snapshot(id.0).path()).collect();
    Ok(delete_durably(driver, paths.clone(), &paths, Deadline::NONE).await?)
}
