//! `prune`: deletes snapshots, and what only they had.

use std::collections::BTreeMap;

use super::{Error, Keep, Result, SnapshotId, snapshots};
use crate::{Registry, gc};

/// A prune that was made.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The snapshots that stay, with the reasons.
    pub kept: BTreeMap<SnapshotId, Vec<&'static str>>,
    /// Those that were deleted, the oldest first.
    pub deleted: Vec<SnapshotId>,
    /// The collection of what only they had.
    pub collection: gc::Report,
}

/// Deletes the snapshots that `keep` does not name, then what no snapshot has that is there. A dry run only reports.
///
/// # Errors
///
/// `NoBackup` if the store holds no backups; errors of the [collection](gc::collect), which the next prune repeats; any error of
/// the store. Nothing is deleted while a snapshot cannot be read.
pub async fn prune(backup: &Registry, keep: &Keep, options: gc::Options) -> Result<Pruned> {
    let driver = backup.driver();
    if super::run::recorded(driver).await?.is_none() {
        return Err(Error::NoBackup);
    }
    let all = super::list(backup).await?;
    let kept = keep.of(&all);
    let deleted: Vec<SnapshotId> = all.iter().copied().filter(|id| !kept.contains_key(id)).collect();
    if !options.dry_run {
        backup.check_writable()?;
        for id in kept.keys() {
            super::read(backup, *id).await?;
        }
        snapshots::delete(driver, &deleted).await?;
    }
    let options = gc::Options { delete_untagged: true, without_snapshots: deleted.clone(), ..options };
    let collection = gc::collect(backup, &options).await?;
    Ok(Pruned { kept, deleted, collection })
}
