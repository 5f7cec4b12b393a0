//! `run`: makes a snapshot of a store.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;
use sampan_driver::{Deadline, PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::migrated::check_stays;
use super::snapshot::{Encoder, MAX_SHIFT, RepositoryState};
use super::{Error, Result, Snapshot, SnapshotId, Summary, snapshots, source};
use crate::layout::{self, Entry};
use crate::link::delete_durably;
use crate::migrate::{self, Migration, Pass, PassKind, Progress, Recorded, Recorder, Side};
use crate::oci::{RepositoryName, Tag};
use crate::{Registry, Selection, StoreIdentity};
use sampan_host::blocking::on_blocking_pool;

/// The choices of a backup.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The repositories to save. Access tokens are saved only with all of them.
    pub selection: Selection,
    /// How many bytes of data are copied a second at most; `None` for no limit.
    pub rate: Option<NonZeroU64>,
    /// Whether the source has another name or identity than at earlier backups, on purpose.
    pub source_moved: bool,
    /// Whether repositories that vanished from the store were deleted on purpose.
    pub confirmed: bool,
    /// The progress of the backup.
    pub progress: Arc<Progress>,
    /// Stops the backup, which then writes no snapshot. Copied content stays for the next one.
    pub stop: CancellationToken,
}

/// The result of a backup.
#[derive(Clone, Debug)]
pub struct Run {
    /// The snapshot.
    pub snapshot: Summary,
    /// The copied and the failed content of the snapshot.
    pub pass: Pass,
    /// Snapshots of the future: the clock of this machine, or that of an earlier run, is wrong.
    pub future: Vec<SnapshotId>,
    /// The store held no snapshot before.
    pub is_first: bool,
    /// The source has no access tokens, but the backups have some, and keep them unless the run confirms the deletion.
    pub tokens_vanished: bool,
}

/// The marker in a store that holds backups.
#[derive(Deserialize, Serialize)]
struct BackupOf {
    /// The store that is saved.
    from: String,
    /// Its identity; an earlier version recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<StoreIdentity>,
}

/// The records of the pass.
struct Collected {
    encoder: Encoder,
    gone: Vec<(RepositoryName, Vec<Tag>)>,
    error: Option<std::io::Error>,
}

/// A backup or restore that was killed has left what is older than this among the staged blobs.
const STAGED_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a snapshot of `source`, which people call `from`, in the store `backup`.
///
/// # Errors
///
/// `OtherContent` and `OtherSource` if the store holds something else; `Filled` and `Moved` if nothing should be written to it;
/// `EmptySource`; `NothingSelected`; a place of the source that cannot be seen; a collection in the second store; any error of
/// the stores. Then there is no new snapshot, and the next run copies only the rest.
pub async fn run(source: &Registry, backup: &Registry, from: &str, options: &RunOptions) -> Result<Run> {
    backup.check_writable()?;
    let (here, there) = (source.driver(), backup.driver());
    check_stays(there).await?;
    migrate::check_apart(here, there).await?;
    claim(here, there, from, options.source_moved).await?;
    migrate::check_no_collection(there, Side::Target).await?;
    let last_collection = migrate::last_collection(there).await?;
    let earlier = snapshots::list(there).await?;
    let now = source.clock().now();
    let vanished = source::vanished(here, there, &earlier, now, options).await?;
    remove_old_staged(backup).await?;

    let id = free_id(SnapshotId::at(now), &earlier);
    let is_everything = options.selection.is_everything();
    let encoder = Encoder::new(id, from, &options.selection, vanished).map_err(Error::Pack)?;
    let collected = Arc::new(Mutex::new(Collected { encoder, gone: Vec::new(), error: None }));
    let recorder = {
        let collected = collected.clone();
        Recorder::new(move |recorded| collected.lock().take(recorded))
    };
    let migration = Migration::with(
        here,
        there,
        migrate::Options {
            selection: options.selection.clone(),
            rate: options.rate,
            progress: options.progress.clone(),
            caches: source.caches().clone(),
            ..migrate::Options::default()
        },
        PassKind::Save(recorder),
    );
    let pass = tokio::select! {
        pass = migrate::pass(&migration) => pass.map_err(Error::from),
        () = options.stop.cancelled() => Err(Error::Stopped),
    };
    let pass = match pass {
        Ok(pass) => pass,
        Err(error) => {
            migration.remove_staged().await;
            return Err(error);
        }
    };
    migrate::check_seen(pass.unseen.items.clone())?;
    check_undisturbed(there, &last_collection).await?;
    drop(migration);
    let collected = Arc::into_inner(collected).map(Mutex::into_inner);
    let Some(Collected { encoder, gone, error }) = collected else {
        return Err(Error::Pack(std::io::Error::other("invariant: the pass is over")));
    };
    if let Some(error) = error {
        return Err(Error::Pack(error));
    }
    let (snapshot, content) = encoder.finish().map_err(Error::Pack)?;
    if snapshot.totals.repositories == 0 && !is_everything {
        return Err(Error::NothingSelected);
    }
    let snapshot = write(there, snapshot, content).await?;
    if let Err(error) = check_undisturbed(there, &last_collection).await {
        snapshots::delete(there, &[snapshot.id]).await?;
        return Err(error);
    }
    // The tags of the second store are those of its last snapshot, for a registry that serves it.
    for (name, tags) in gone {
        remove_tags(there, &name, tags).await?;
    }
    let tokens_vanished =
        is_everything && !options.confirmed && migrate::tokens_vanished(here, there).await?;
    if is_everything && !tokens_vanished {
        migrate::remove_gone_tokens(here, there).await?;
    }
    let is_first = earlier.is_empty();
    let future = earlier.into_iter().filter(|id| id.is_future(now)).collect();
    Ok(Run { snapshot, pass, future, is_first, tokens_vanished })
}

impl Run {
    /// Whether the snapshot has everything that the store had.
    pub fn is_whole(&self) -> bool {
        self.pass.is_whole() && self.snapshot.vanished.is_empty() && !self.tokens_vanished
    }
}

impl Collected {
    fn take(&mut self, recorded: Recorded) {
        let Recorded { name, manifests, tags, gone } = recorded;
        if (!manifests.is_empty() || !tags.is_empty())
            && let Err(error) = self.encoder.add(&name, RepositoryState { manifests, tags })
        {
            self.error.get_or_insert(error);
        }
        if !gone.is_empty() {
            self.gone.push((name, gone));
        }
    }
}

/// Marks the store as one that holds the backups of `source`, which people call `from`.
async fn claim(
    source: &Arc<dyn StorageDriver>,
    backup: &Arc<dyn StorageDriver>,
    from: &str,
    source_moved: bool,
) -> Result<()> {
    let path = Entry::BackupOf.path();
    let identity = StoreIdentity::of(source).await?;
    let mut before = marker(backup).await?;
    if before.is_none()
        && let Some(path) = migrate::first_file(backup, Side::Target).await?
    {
        // Another backup may have begun the store at this moment.
        before = marker(backup).await?;
        if before.is_none() {
            return Err(Error::OtherContent(path));
        }
    }
    match before {
        // A power failure has left an empty marker, or the marker is lost.
        Some(recorded) if recorded.from.is_empty() || source_moved => {}
        Some(recorded) if recorded.from != from => {
            return Err(Error::OtherSource { recorded: recorded.from, given: from.to_owned() });
        }
        Some(BackupOf { source: Some(known), .. }) if known == identity || identity.is_blank() => {
            return Ok(());
        }
        Some(BackupOf { source: Some(known), .. }) if !known.is_of(source, &identity).await? => {
            let recorded = format!("{from} of another machine or disk");
            return Err(Error::OtherSource { recorded, given: from.to_owned() });
        }
        Some(_) | None => {}
    }
    let content = BackupOf { from: from.to_owned(), source: Some(identity) };
    let content = serde_json::to_vec(&content).unwrap_or_default();
    Ok(backup.put_content(&path, content.into(), PutMode::Overwrite).await?)
}

/// The store whose backups a store holds, if it holds any; empty if the marker is lost or cannot be understood.
pub(super) async fn recorded(backup: &Arc<dyn StorageDriver>) -> Result<Option<String>> {
    Ok(marker(backup).await?.map(|marker| marker.from))
}

async fn marker(backup: &Arc<dyn StorageDriver>) -> Result<Option<BackupOf>> {
    let content = backup.get_content_if_any(&Entry::BackupOf.path()).await?;
    let unknown = || BackupOf { from: String::new(), source: None };
    match content {
        Some(content) => Ok(Some(serde_json::from_slice(&content).unwrap_or_else(|_| unknown()))),
        // A marker that was lost takes no snapshot along.
        None => Ok((!snapshots::list(backup).await?.is_empty()).then(unknown)),
    }
}

/// Writes a snapshot, under the name of a later second if another backup has taken its own meanwhile.
async fn write(
    backup: &Arc<dyn StorageDriver>,
    mut snapshot: Summary,
    mut content: Bytes,
) -> Result<Summary> {
    loop {
        match snapshots::write(backup, snapshot.id, content.clone()).await {
            Err(Error::Exists(id)) => {
                let free = free_id(id, &snapshots::list(backup).await?);
                if free == id {
                    return Err(Error::Exists(id));
                }
                let renamed = on_blocking_pool(move || {
                    let taken = Snapshot::decode(id, &content).map_err(std::io::Error::other)?;
                    taken.encode_as(free)
                });
                (snapshot, content) = renamed.await.map_err(Error::Pack)?;
            }
            written => return written.map(|()| snapshot),
        }
    }
}

/// The name of a snapshot of this second, or of one of the next if there is one already.
fn free_id(wanted: SnapshotId, earlier: &[SnapshotId]) -> SnapshotId {
    let next = (wanted.0..=wanted.0.saturating_add(MAX_SHIFT)).map(SnapshotId);
    next.into_iter().find(|id| !earlier.contains(id)).unwrap_or(wanted)
}

/// Removes what backups and restores that were killed have left; not what another one copies now.
pub(super) async fn remove_old_staged(registry: &Registry) -> Result<()> {
    Ok(migrate::remove_old_staged(registry.driver(), registry.clock().ago(STAGED_AGE)).await?)
}

async fn check_undisturbed(backup: &Arc<dyn StorageDriver>, last: &Option<Bytes>) -> Result<()> {
    migrate::check_no_collection(backup, Side::Target).await?;
    if migrate::last_collection(backup).await? != *last {
        let path = Entry::CollectionLast.path();
        return Err(Error::Collecting(path));
    }
    Ok(())
}

/// Removes tags, the history of each first: a history without its tag would list the tag where there are no directories.
async fn remove_tags(backup: &Arc<dyn StorageDriver>, name: &RepositoryName, tags: Vec<Tag>) -> Result<()> {
    for tag in tags {
        let files: Vec<_> = backup.walk(&layout::tag(name, &tag), None).try_collect().await?;
        let current = Entry::TagCurrent(name.clone(), tag.clone()).path();
        let mut paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
        paths.retain(|path| *path != current);
        for path in [paths, vec![current, Entry::TagDigest(name.clone(), tag).path()]] {
            delete_durably(backup, path.clone(), &path, Deadline::NONE).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_backups_of_one_second_have_two_names() {
        let ids = |ids: &[u64]| ids.iter().copied().map(SnapshotId).collect::<Vec<_>>();
        for (earlier, expected) in [(ids(&[]), 7), (ids(&[6, 8]), 7), (ids(&[7, 8]), 9)] {
            assert_eq!(free_id(SnapshotId(7), &earlier), SnapshotId(expected), "{earlier:?}");
        }
    }
}
