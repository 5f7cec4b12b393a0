//! `World`: the store that all actors share, with its own file times.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::{DriverPath, FileInfo, Result, StorageDriver};
use sampan_engine::RunId;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, RepositoryName};
use tokio::time::Instant;

use super::cache::CACHE;
use super::check::{is_indexed, is_whole};
use super::faults::Faults;
use super::machine::Machine;
use super::sabotage::Sabotage;
use super::seen::{ObservedDriver, Observer, Role};
use super::turns::Turns;
use crate::Failed;
use crate::gc::collector::paths;

/// The store and its clock.
#[derive(Debug)]
pub(super) struct World {
    pub(super) inner: Arc<dyn StorageDriver>,
    pub(super) turns: Turns,
    sabotage: Sabotage,
    faults: Faults,
    epoch: SystemTime,
    pub(super) begun: Instant,
    /// The run whose files all collectors use, if they share them.
    pub(super) shared: RunId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// When files were published; files from before the beginning are old.
    times: HashMap<DriverPath, SystemTime>,
    /// A notice that is not visible yet.
    pub(super) late_notice: Option<(usize, DriverPath, Bytes)>,
    /// The number of deletions.
    pub(super) deletions: u64,
    /// Deletions that the store has accepted and carries out later.
    pub(super) late: Vec<DriverPath>,
    /// Manifests that the registry has acknowledged, or that were there from the beginning, and that no collection has deleted
    /// since.
    acknowledged: HashSet<(RepositoryName, Digest)>,
    /// Repository, subject and digest of manifests that a client has attached, and that no client has deleted.
    attached: HashSet<(RepositoryName, Digest, Digest)>,
}

impl World {
    pub(super) fn new(
        inner: Arc<dyn StorageDriver>,
        turns: Turns,
        faults: Faults,
        sabotage: Sabotage,
    ) -> Arc<Self> {
        let (epoch, begun) = (SystemTime::now(), Instant::now());
        Arc::new(Self {
            inner,
            turns,
            sabotage,
            faults,
            epoch,
            begun,
            shared: RunId::random(),
            state: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> SystemTime {
        self.epoch + self.begun.elapsed()
    }

    pub(super) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }

    pub(super) fn epoch(&self) -> SystemTime {
        self.epoch
    }

    /// Checks that everything that must be whole is whole (I1). Where operations take any time, a manifest may be linked for a
    /// moment before its push notices that it must begin again.
    pub(super) async fn check(&self) -> Result<(), Failed> {
        let faults = self.faults;
        let concerns = |name: &RepositoryName, digest: &Digest| {
            // A cache may lack anything (I1c).
            name.as_str() != CACHE && (!faults.any() || self.is_acknowledged(name, digest))
        };
        is_whole(&self.inner, concerns).await?;
        let attached: Vec<_> = self.lock().attached.iter().cloned().collect();
        is_indexed(&self.inner, attached).await
    }

    /// Notes that a manifest is attached to `subject`, and that clients find it there while it is linked.
    pub(super) fn acknowledge_attached(&self, name: &RepositoryName, subject: &Digest, digest: &Digest) {
        self.lock().attached.insert((name.clone(), subject.clone(), digest.clone()));
    }

    /// Notes that a client deletes a manifest. The client may die between two steps of that, beside a push of the same
    /// manifest.
    pub(super) fn give_up(&self, name: &RepositoryName, digest: &Digest) {
        self.lock().attached.retain(|(of, _, attached)| of != name || attached != digest);
    }

    /// Notes that every manifest of the store must stay whole.
    pub(super) async fn acknowledge_all(&self) -> Result<(), Failed> {
        for path in paths(&self.inner).await? {
            if let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&path) {
                self.acknowledge(&name, &digest);
            }
        }
        Ok(())
    }

    /// The number of deletions.
    pub(super) fn deletions(&self) -> u64 {
        self.lock().deletions
    }

    /// The store as an actor sees it.
    pub(super) fn seen_by(
        self: &Arc<Self>,
        actor: usize,
        role: Role,
        machine: Machine,
        is_blind: bool,
    ) -> Arc<dyn StorageDriver> {
        Arc::new(ObservedDriver::new(Observer::new(self.clone(), actor, role, machine, is_blind)))
    }

    /// Notes that a manifest must stay whole while it is linked.
    pub(super) fn acknowledge(&self, name: &RepositoryName, digest: &Digest) {
        self.lock().acknowledged.insert((name.clone(), digest.clone()));
    }

    pub(super) fn is_acknowledged(&self, name: &RepositoryName, digest: &Digest) -> bool {
        self.lock().acknowledged.contains(&(name.clone(), digest.clone()))
    }

    /// Carries out the deletions that the store has accepted.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let late = std::mem::take(&mut self.lock().late);
        for path in late {
            self.inner.delete(&path).await?;
        }
        Ok(())
    }

    /// Deletes `path` late, unless the store has done so since.
    pub(super) async fn delete_late(&self, path: DriverPath) -> Result<()> {
        let position = self.lock().late.iter().position(|late| *late == path);
        if let Some(position) = position {
            self.lock().late.swap_remove(position);
            self.delete(&path).await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, path: &DriverPath) -> Result<()> {
        {
            let mut state = self.lock();
            state.deletions += 1;
            if let Some(Entry::RevisionLink(name, digest)) = Entry::parse(path) {
                state.acknowledged.remove(&(name, digest));
            }
        }
        self.inner.delete(path).await
    }

    pub(super) fn touch(&self, path: &DriverPath) {
        let now = self.now();
        self.lock().times.insert(path.clone(), now);
    }

    pub(super) fn dated(&self, mut info: FileInfo) -> FileInfo {
        let old = self.epoch - Duration::from_secs(365 * 24 * 60 * 60);
        info.modified = self.lock().times.get(&info.path).copied().unwrap_or(old);
        info
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
