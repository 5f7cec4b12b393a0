//! `Snapshots`: the manifests that the snapshots in the store have, which stay whatever else refers to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::context::Context;
use super::interner::IdHashSet;
use super::inventory::Inventory;
use super::{Error, Result};
use crate::backup::{SnapshotId, list_snapshots, read_snapshot};
use crate::layout::Entry;
use crate::oci::RepositoryName;

/// The manifests of all snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    read: HashSet<SnapshotId>,
    manifests: HashMap<RepositoryName, Arc<IdHashSet>>,
}

impl Snapshots {
    /// Reads the snapshots that were not read before. One that was deleted meanwhile counts until the end.
    ///
    /// # Errors
    ///
    /// `Snapshot` if one cannot be read.
    pub(super) async fn read(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let driver = cx.driver().clone();
        for id in list_snapshots(&driver).await? {
            if cx.options.without_snapshots.contains(&id) || self.read.contains(&id) {
                continue;
            }
            let snapshot = read_snapshot(&driver, id).await?.transpose();
            let snapshot = snapshot.map_err(|reason| {
                let path = Entry::Snapshot(id.0).path();
                Error::Snapshot { path, reason }
            })?;
            cx.pacer.tick().await?;
            self.read.insert(id);
            for (name, held) in snapshot.into_iter().flat_map(|snapshot| snapshot.repositories) {
                let manifests = Arc::make_mut(self.manifests.entry(name).or_default());
                let canonical = held.manifests.iter().filter(|digest| digest.is_canonical());
                manifests.extend(canonical.map(|digest| cx.ids.intern(digest)));
            }
        }
        Ok(())
    }

    /// Marks them in the repositories of an inventory.
    pub(super) fn mark(&self, inventory: &mut Inventory) {
        for contents in &mut inventory.repositories {
            if let Some(manifests) = self.manifests.get(&contents.name) {
                contents.in_snapshots = manifests.clone();
            }
        }
    }
}
