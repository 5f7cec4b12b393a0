//! `vanished`: whether the store shows what it had at the last snapshot. A volume that is not mounted is no deletion.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures::TryStreamExt;
use sampan_driver::{DirEntry, DriverPath, StorageDriver};

use super::{Error, Result, RunOptions, SnapshotId, snapshots};
use crate::layout;
use crate::migrate;

/// The first parts of names, such as `team` of `team/app`, of which the store shows nothing, though the last snapshot of the
/// same selection that has repositories has some below them, or lacked them already without a confirmation. None if the run confirms it.
///
/// Snapshots that are of the future at `now` count only if there are no others.
///
/// Where there are no directories, a part of a store cannot be on another volume, so nothing is looked for.
///
/// # Errors
///
/// `EmptySource` if the store shows nothing at all, but did before; any error of the stores.
pub(super) async fn vanished(
    source: &Arc<dyn StorageDriver>,
    backup: &Arc<dyn StorageDriver>,
    earlier: &[SnapshotId],
    now: SystemTime,
    options: &RunOptions,
) -> Result<Vec<String>> {
    let (is_everything, selected) = (options.selection.is_everything(), options.selection.names());
    // The words of the selection are not known.
    if !is_everything && selected.is_empty() {
        return Ok(Vec::new());
    }
    // If all snapshots are of the future, the clock is wrong.
    let passes_future = earlier.iter().any(|id| !id.is_future(now));
    let mut last = None;
    for id in earlier.iter().rev().filter(|id| !passes_future || !id.is_future(now)) {
        // A damaged snapshot is no reason to make no further one.
        let Some(Ok(had)) = snapshots::read(backup, *id).await? else { continue };
        if had.summary.is_everything != is_everything || had.summary.selected != selected {
            continue;
        }
        // One without repositories may be of a run that confirmed it.
        if had.repositories.is_empty() {
            last.get_or_insert(had.summary.vanished);
            continue;
        }
        if !migrate::has_repositories(source).await? {
            return Err(Error::EmptySource(*id, had.summary.totals.repositories));
        }
        if options.confirmed || source.capabilities().flat {
            return Ok(Vec::new());
        }
        if let Some(vanished) = last {
            return not_shown(source, vanished.into_iter().collect()).await;
        }
        let first = |name: &str| name.split('/').next().unwrap_or(name).to_owned();
        let mut expected: BTreeSet<String> =
            had.repositories.keys().map(|name| first(name.as_str())).collect();
        expected.extend(had.summary.vanished);
        return not_shown(source, expected).await;
    }
    Ok(Vec::new())
}

/// Those of `expected` that are no directories, or empty ones. What clients delete leaves directories.
async fn not_shown(source: &Arc<dyn StorageDriver>, expected: BTreeSet<String>) -> Result<Vec<String>> {
    let root = layout::repositories_root();
    let mut vanished = expected;
    let mut entries = source.list(&root, None);
    while let Some(entry) = entries.try_next().await? {
        let DirEntry::Directory(name) = entry else { continue };
        if !vanished.contains(&name) {
            continue;
        }
        let Ok(path) = format!("{root}/{name}").parse::<DriverPath>() else { continue };
        if source.list(&path, None).try_next().await?.is_some() {
            vanished.remove(&name);
        }
    }
    Ok(vanished.into_iter().collect())
}
