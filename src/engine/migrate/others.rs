//! Files beside the repositories: access tokens, the records of removed tags, and snapshots of another store.

use std::sync::Arc;

use futures::{TryStreamExt, stream};
use sampan_driver::{DriverPath, StorageDriverExt};

use super::copier::Copier;
use super::error::NameStore;
use super::merged::{Merged, Pair};
use super::{CONCURRENCY, Result};
use crate::Selection;
use crate::layout::{self, Entry};

/// A larger file is not one of these, but for snapshots.
const MAX_BYTES: u64 = 1 << 20;

/// Copies a small file unless the target has the same content.
pub(super) async fn copy(copier: &Copier, path: &DriverPath) -> Result<()> {
    let here = async { copier.source.get_content_if_any(path).await.at_source() };
    let there = async { copier.target.get_content_if_any(path).await.at_target() };
    let (here, there) = futures::try_join!(here, there)?;
    match here {
        Some(content) if there.as_ref() != Some(&content) => {
            copier.put_all(&[(path.clone(), content)], |copied| copied.others += 1).await
        }
        _ => Ok(()),
    }
}

/// The directories of these files.
pub(super) fn roots() -> [DriverPath; 3] {
    // Snapshots need the content that was copied before.
    [layout::access_tokens_root(), layout::removed_root(), layout::snapshots_root()]
}

/// Whether a file of these directories goes along.
pub(super) fn goes_along(path: &DriverPath, selection: &Selection) -> bool {
    match Entry::parse(path) {
        Some(Entry::AccessTokenEnds(_) | Entry::AccessTokenRecord(_) | Entry::AccessTokenUsed(_)) => {
            selection.is_everything()
        }
        Some(Entry::BackupOf | Entry::Snapshot(_)) => selection.is_everything(),
        Some(Entry::RemovedTag(name, ..)) => selection.has(&name),
        _ => false,
    }
}

/// Whether the file has to be read to know that both stores have the same: a record of a removed tag says everything in its
/// name, and a snapshot is never changed, but when a token was used last changes without a change of length.
pub(super) fn may_change(path: &DriverPath) -> bool {
    !matches!(Entry::parse(path), Some(Entry::RemovedTag(..) | Entry::Snapshot(_)))
}

/// Which files of a directory are copied at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sweep {
    All,
    /// All but the records of access tokens.
    BeforeRecords,
    /// The records of access tokens.
    Records,
}

impl Sweep {
    fn has(self, path: &DriverPath) -> bool {
        let is_record = || matches!(Entry::parse(path), Some(Entry::AccessTokenRecord(_)));
        match self {
            Self::All => true,
            Self::BeforeRecords => !is_record(),
            Self::Records => is_record(),
        }
    }
}

/// Copies all of them. The end of a token comes before its record: a token that has ended is never valid at the target.
pub(super) async fn copy_all(copier: &Arc<Copier>, selection: &Selection) -> Result<()> {
    // A backup makes snapshots of its own.
    let is_backup = copier.manner.recorder().is_some();
    for root in roots().into_iter().filter(|root| !is_backup || *root != layout::snapshots_root()) {
        let sweeps: &[Sweep] = match root == layout::access_tokens_root() {
            true => &[Sweep::BeforeRecords, Sweep::Records],
            false => &[Sweep::All],
        };
        for sweep in sweeps {
            copy_below(copier, selection, &root, *sweep).await?;
        }
    }
    Ok(())
}

async fn copy_below(
    copier: &Arc<Copier>,
    selection: &Selection,
    root: &DriverPath,
    sweep: Sweep,
) -> Result<()> {
    let merged = Merged::new(&copier.source, &copier.target, root);
    let files = stream::try_unfold(merged, |mut merged| {
        let copier = copier.clone();
        async move {
            let next = merged.next().await?;
            let unseen = merged.take_unseen();
            // The sweep before has found them.
            if sweep != Sweep::Records && !unseen.is_empty() {
                copier.find(|pass| unseen.into_iter().for_each(|place| pass.unseen.push(place)));
            }
            Ok(next.map(|pair| (pair, merged)))
        }
    });
    let copies = files.map_ok(|pair| {
        let (copier, selection) = (copier.clone(), selection.clone());
        async move { if sweep.has(&pair.path) { copy_one(&copier, &pair, &selection).await } else { Ok(()) } }
    });
    let mut copies = Box::pin(copies.try_buffered(CONCURRENCY));
    while copies.try_next().await?.is_some() {}
    Ok(())
}

async fn copy_one(copier: &Copier, pair: &Pair, selection: &Selection) -> Result<()> {
    let Some(source) = &pair.source else { return Ok(()) };
    let is_due = pair.differs() || may_change(&pair.path);
    let max_bytes = match Entry::parse(&pair.path) {
        Some(Entry::Snapshot(_)) => u64::MAX,
        _ => MAX_BYTES,
    };
    if !is_due || source.size_bytes > max_bytes || !goes_along(&pair.path, selection) {
        return Ok(());
    }
    copy(copier, &pair.path).await
}
