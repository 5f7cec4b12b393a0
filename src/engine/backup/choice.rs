//! `at`: which snapshot a restore takes.

use std::time::SystemTime;

use super::{Error, Result, SnapshotId, Summary};
use crate::{Registry, Selection};

/// The snapshot that a restore takes, and the later ones that it skips.
#[derive(Clone, Debug)]
pub struct SnapshotChoice {
    /// The snapshot.
    pub id: SnapshotId,
    /// Whether the snapshot has only some repositories, perhaps not the selected ones.
    pub is_part: bool,
    /// The last of the skipped later snapshots, for each reason.
    pub passed_over: Vec<(SnapshotId, SkipReason)>,
}

/// Why a restore skips a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SkipReason {
    /// The snapshot has only some repositories, and not the selected ones.
    Part,
    /// The snapshot is of the future: the clock of this machine, or that of a run, is wrong.
    Future,
}

/// The snapshot that a restore of `selection` takes: the latest that is no younger than `time`; without a time, the latest of
/// all that is not of the future.
///
/// It is one of all repositories, or one whose selection has the same words, unless there is none such or `time` is exactly
/// the time of another one.
///
/// # Errors
///
/// `NoSnapshot`; any error of the store.
pub async fn at(
    backup: &Registry,
    time: Option<SystemTime>,
    selection: &Selection,
) -> Result<SnapshotChoice> {
    let all = super::list(backup).await?;
    let (wanted, now) = (time.map(SnapshotId::at), backup.clock().now());
    let no_snapshot = || Error::NoSnapshot { wanted, first: all.first().copied() };
    let until = all.iter().rev().copied().filter(|id| wanted.is_none_or(|wanted| *id <= wanted));
    // If all snapshots are of the future, the clock is wrong.
    let passes_future = wanted.is_none() && all.iter().any(|id| !id.is_future(now));
    let (future, until): (Vec<_>, Vec<_>) = until.partition(|id| passes_future && id.is_future(now));
    let mut passed_over: Vec<_> = future.first().map(|id| (*id, SkipReason::Future)).into_iter().collect();
    let mut part = None;
    for id in until {
        let suits = match super::summary(backup, id).await {
            Ok(summary) => suits(&summary, selection),
            // The restore says so.
            Err(Error::Damaged { .. }) => true,
            // A prune has deleted it meanwhile.
            Err(Error::NoSnapshot { .. }) => continue,
            Err(error) => return Err(error),
        };
        if suits || wanted == Some(id) {
            passed_over.extend(part.map(|part| (part, SkipReason::Part)));
            return Ok(SnapshotChoice { id, is_part: !suits, passed_over });
        }
        part = part.or(Some(id));
    }
    let id = part.ok_or_else(no_snapshot)?;
    Ok(SnapshotChoice { id, is_part: true, passed_over })
}

/// Whether a snapshot has everything of a selection that the store had.
fn suits(Summary { is_everything, selected, .. }: &Summary, selection: &Selection) -> bool {
    let names = selection.names();
    *is_everything || (!names.is_empty() && names.iter().all(|name| selected.contains(name)))
}
