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
/// `NoBackup` if the store holds no backups; `Unseen` if a part of it cannot be seen; errors of the [collection](gc::collect), which the next prune repeats; any error of
/// the store. Only a collection that stops half-way leaves something deleted.
pub async fn prune(backup: &Registry, keep: &Keep, options: gc::Options) -> Result<Pruned> {
    let driver = backup.driver();
    if super::run::recorded(driver).await?.is_none() {
        return Err(Error::NoBackup);
    }
    let all = super::list(backup).await?;
    let kept = keep.of(&all);
    let deleted: Vec<SnapshotId> = all.iter().copied().filter(|id| !kept.contains_key(id)).collect();
    let options = gc::Options { delete_untagged: true, without_snapshots: deleted.clone(), ..options };
    // What cannot be seen is not gone, and a snapshot without its content is worth nothing: a look comes first.
    let look = gc::Options { dry_run: true, ..options.clone() };
    let collection = gc::collect(backup, &look).await?;
    if collection.unseen > 0 {
        return Err(Error::Unseen);
    }
    if options.dry_run {
        return Ok(Pruned { kept, deleted, collection });
    }
    backup.check_writable()?;
    snapshots::delete(driver, &deleted).await?;
    let collection = gc::collect(backup, &options).await?;
    Ok(Pruned { kept, deleted, collection })
}
