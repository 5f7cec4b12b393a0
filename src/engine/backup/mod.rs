//! Backups: what a store held at several times, kept in a second store, while clients push to the first.
//!
//! The second store is a store like any other, with the blobs and manifests of all snapshots, each once; a registry can serve
//! it. Beside them lie the snapshots, which say which repositories, manifests and tags there were.
//!
//! - [`run`] copies what the backup lacks, as a pass of a [migration](crate::migrate) does: in each repository the tags are
//!   read before their images and written after them, so a snapshot has no tag without its image. It is written last.
//! - [`restore`] copies from the backup what a store lacks of a snapshot, and points its tags at what they pointed at. It
//!   deletes nothing. It holds the lock of the collector meanwhile, so no collection deletes what it relies on; pushes continue.
//! - [`prune`] deletes snapshots, then collects what only they had. Each collection, of whatever command, keeps every manifest
//!   of a snapshot that is there, and none deletes anything while one cannot be read.
//! - [`check`] reads all of it.
//!
//! # A prune beside a backup
//!
//! A backup relies on what lies in the second store, and a collection there may be about to delete it. So a run looks for a
//! collection before and after its work, and once more after it has written the snapshot, and takes the snapshot back if there
//! was one. The collection writes its notice before it lists the snapshots: one of the two sees the other. What the run itself
//! has written is younger than the grace period.
//!
//! Deliberately absent: when to make backups, and output, which belong to the command line.

mod check;
mod choice;
mod error;
mod migrated;
mod prune;
mod restore;
mod run;
mod schedule;
mod snapshot;
mod snapshots;
mod source;
mod view;

pub use check::{Check, check};
pub use choice::{SkipReason, SnapshotChoice, at};
pub use error::{Error, Result};
pub use prune::{Pruned, prune};
pub use restore::{RestoreOptions, Restored, restore};
pub use run::{Run, RunOptions, run};
pub use schedule::Keep;
pub(crate) use snapshot::Snapshot;
pub use snapshot::{SnapshotId, Summary, Totals};
pub(crate) use snapshots::{list as list_snapshots, read as read_snapshot};

use crate::Registry;
use crate::layout::Entry;
pub use crate::migrate::TagThere;

/// The snapshots of a store, the oldest first.
///
/// # Errors
///
/// Any error of the store.
pub async fn list(backup: &Registry) -> Result<Vec<SnapshotId>> {
    Ok(snapshots::list(backup.driver()).await?)
}

/// The figures of a snapshot.
///
/// # Errors
///
/// `NoSnapshot`; `Damaged` if its file is not whole; any error of the store.
pub async fn summary(backup: &Registry, id: SnapshotId) -> Result<Summary> {
    Ok(read(backup, id).await?.summary)
}

async fn read(backup: &Registry, id: SnapshotId) -> Result<Snapshot> {
    let found = snapshots::read(backup.driver(), id).await?;
    let found = found.ok_or(Error::NoSnapshot { wanted: Some(id), first: None })?;
    found.map_err(|reason| Error::Damaged { path: Entry::Snapshot(id.0).path(), reason })
}
