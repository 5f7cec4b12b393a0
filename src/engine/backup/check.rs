//! `check`: whether the snapshots can be restored.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::StorageDriverExt;

use super::{Error, Result, SnapshotId, Summary, snapshots};
use crate::FirstItems;
use crate::Registry;
use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName};
use crate::verify::{self, Report};

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// The snapshots that can be read, the oldest first.
    pub snapshots: Vec<Summary>,
    /// The snapshots that cannot be read, with the reason.
    pub damaged: Vec<(SnapshotId, String)>,
    /// Manifests of snapshots that the store has lost, with the first snapshot that has each.
    pub missing: FirstItems<(RepositoryName, Digest, SnapshotId)>,
    /// The verification of the store.
    pub report: Report,
    /// The number of manifests of each snapshot that cannot be restored as they are.
    pub hurt: BTreeMap<SnapshotId, u64>,
}

/// How many links are looked for at a time.
const LOOKUPS: usize = 32;

/// Reads every snapshot, looks for the manifests of all of them, and verifies the store as [`verify`](verify::verify) does.
///
/// # Errors
///
/// `NoBackup`; those of the verification; any error of the store.
pub async fn check(backup: &Registry, options: &verify::Options) -> Result<Check> {
    let driver = backup.driver();
    if super::run::recorded(driver).await?.is_none() {
        return Err(Error::NoBackup);
    }
    let mut check = Check::default();
    // The snapshots that have each manifest of a repository, by their places among those that can be read.
    let mut holders: HashMap<RepositoryName, HashMap<Digest, Vec<usize>>> = HashMap::new();
    for id in snapshots::list(driver).await? {
        match snapshots::read(driver, id).await? {
            // A prune has deleted it meanwhile.
            None => {}
            Some(Ok(snapshot)) => {
                let place = check.snapshots.len();
                check.snapshots.push(snapshot.summary);
                for (name, held) in snapshot.repositories {
                    let holders = holders.entry(name).or_default();
                    held.manifests
                        .into_iter()
                        .for_each(|digest| holders.entry(digest).or_default().push(place));
                }
            }
            Some(Err(reason)) => check.damaged.push((id, reason)),
        }
    }
    let mut hurt: HashMap<usize, u64> = HashMap::new();
    let manifests =
        holders.iter().flat_map(|(name, of)| of.iter().map(move |(digest, at)| (name, digest, at)));
    let lookups = stream::iter(manifests).map(|(name, digest, places)| async move {
        let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
        let is_there = driver.exists(&link).await?;
        Ok::<_, Error>((!is_there).then_some((name, digest, places)))
    });
    let mut lookups = lookups.buffer_unordered(LOOKUPS);
    while let Some(missing) = lookups.try_next().await? {
        let Some((name, digest, places)) = missing else { continue };
        places.iter().for_each(|place| *hurt.entry(*place).or_default() += 1);
        if let Some(first) = places.first() {
            check.missing.push((name.clone(), digest.clone(), check.snapshots[*first].id));
        }
    }
    drop(lookups);
    check.report = verify::verify(backup, options).await?;
    for problem in check.report.problems.iter().filter(|problem| !problem.is_mended()) {
        for need in &problem.needed_by {
            let Ok(name) = need.repository.parse::<RepositoryName>() else { continue };
            for place in holders.get(&name).and_then(|of| of.get(&need.manifest)).into_iter().flatten() {
                *hurt.entry(*place).or_default() += 1;
            }
        }
    }
    check.hurt = hurt.into_iter().map(|(place, count)| (check.snapshots[place].id, count)).collect();
    Ok(check)
}

impl Check {
    /// Whether every snapshot can be restored.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.missing.count == 0 && self.report.is_whole()
    }
}
