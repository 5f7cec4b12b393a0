//! `prune`: deletes snapshots, and what only they had.

use std::collections::BTreeMap;

use super::{Error, Keep, Result, SnapshotId, snapshots};
use crate::{Registry, gc};

/// The result of a prune.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The snapshots that stay, with the reasons.
    pub kept: BTreeMap<SnapshotId, Vec<&'static str>>,
    /// Those that were deleted, the oldest first.
    pub deleted: Vec<SnapshotId>,
    /// Those of the future, which stay: the clock of this machine, or that of a run, is wrong.
    pub future: Vec<SnapshotId>,
    /// The collection of what only they had.
    pub collection: gc::Report,
}

/// Deletes the snapshots that `keep` does not name, but for those of the future, then what no snapshot has that is there. A dry
/// run only reports.
///
/// # Errors
///
/// `NoBackup` if the store holds no backups; `Damaged` if a snapshot cannot be read; `Unseen` if a part of the store cannot be
/// seen; errors of the [collection](gc::collect), which the next prune repeats; any error of the store. Only a collection that stops half-way leaves something deleted.
pub async fn prune(backup: &Registry, keep: &Keep, options: gc::Options) -> Result<Pruned> {
    let driver = backup.driver();
    if super::run::recorded(driver).await?.is_none() {
        return Err(Error::NoBackup);
    }
    let now = backup.clock().now();
    let (future, all): (Vec<_>, Vec<_>) =
        super::list(backup).await?.into_iter().partition(|id| id.is_future(now));
    let mut summaries = Vec::with_capacity(all.len());
    for id in all {
        match super::summary(backup, id).await {
            Ok(summary) => summaries.push(summary),
            // Another prune has deleted it meanwhile.
            Err(Error::NoSnapshot { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut kept = keep.of(&summaries);
    let all = summaries.iter().map(|summary| summary.id);
    let deleted: Vec<SnapshotId> = all.filter(|id| !kept.contains_key(id)).collect();
    kept.extend(future.iter().map(|id| (*id, vec!["future"])));
    let options = gc::Options { delete_untagged: true, without_snapshots: deleted.clone(), ..options };
    // An invisible repository is not deleted, and a snapshot without its content is worthless: so check first.
    let look = gc::Options { dry_run: true, ..options.clone() };
    let collection = gc::collect(backup, &look).await?;
    if collection.unseen > 0 {
        return Err(Error::Unseen);
    }
    if options.dry_run {
        return Ok(Pruned { kept, deleted, future, collection });
    }
    backup.check_writable()?;
    snapshots::delete(driver, &deleted).await?;
    let collection = gc::collect(backup, &options).await?;
    Ok(Pruned { kept, deleted, future, collection })
}
