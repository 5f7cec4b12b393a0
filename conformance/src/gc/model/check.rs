//! The invariants of the store at every moment, and what the model knows of its clients' changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sampan_driver::{StorageDriver, StorageDriverExt};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Reference, RepositoryName};

use crate::Failed;
use crate::gc::collector::{lacking, paths};

/// Checks that every linked manifest that `concerns` is whole (I1).
pub(super) async fn is_whole(
    driver: &Arc<dyn StorageDriver>,
    concerns: impl Fn(&RepositoryName, &Digest) -> bool,
) -> Result<(), Failed> {
    for path in paths(driver).await? {
        let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&path) else { continue };
        if !concerns(&name, &digest) {
            continue;
        }
        if let Some(lacking) = lacking(driver, &name, &digest).await? {
            return Err(Failed::new(format_args!(
                "the manifest {digest} of {name} is linked, but lacks {lacking}"
            )));
        }
    }
    Ok(())
}

/// Checks that the index of each linked manifest's subject lists it (I2).
pub(super) async fn is_indexed(
    driver: &Arc<dyn StorageDriver>,
    attached: impl IntoIterator<Item = (RepositoryName, Digest, Digest)>,
) -> Result<(), Failed> {
    for (name, subject, digest) in attached {
        let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
        let entry = Entry::Referrer(name.clone(), subject, digest.clone()).path();
        if driver.exists(&link).await? && !driver.exists(&entry).await? {
            return Err(Failed::new(format_args!("{digest} of {name} is linked, but {entry} is gone")));
        }
    }
    Ok(())
}

/// The content that clients deleted, which the checks do not expect.
#[derive(Clone, Debug, Default)]
pub(super) struct Deleted(Arc<Mutex<BTreeSet<(RepositoryName, Digest)>>>);

impl Deleted {
    pub(super) fn add(&self, name: &RepositoryName, digest: &Digest) {
        self.0.lock().insert((name.clone(), digest.clone()));
    }

    pub(super) fn has(&self, name: &RepositoryName, digest: &Digest) -> bool {
        let deleted = self.0.lock();
        deleted.contains(&(name.clone(), digest.clone()))
    }
}

/// Changes of tags by clients. A tag that one client has set and no other has touched must be where that client set it.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched(Arc<Mutex<HashMap<TouchedObject, Touches>>>);

/// The object of a change: a tag that a client sets or deletes, or a manifest that a client deletes.
type TouchedObject = (RepositoryName, Reference);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Touches {
    /// The number of changes begun.
    begun: u64,
    /// The number of changes under way.
    under_way: u64,
}

/// A client's change of a tag or a manifest, under way until dropped.
#[derive(Debug)]
pub(super) struct Touch {
    touched: Touched,
    place: TouchedObject,
    /// The number of this change; `None` when another was under way.
    number: Option<u64>,
}

impl Touched {
    pub(super) fn begin(&self, name: &RepositoryName, reference: &Reference) -> Touch {
        let place = (name.clone(), reference.clone());
        let number = {
            let mut touches = self.lock();
            let touches = touches.entry(place.clone()).or_default();
            touches.begun += 1;
            touches.under_way += 1;
            (touches.under_way == 1).then_some(touches.begun)
        };
        Touch { touched: self.clone(), place, number }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TouchedObject, Touches>> {
        self.0.lock()
    }
}

impl Touch {
    /// Leaves the change under way for ever: the store may still carry out what failed.
    pub(super) fn never_ends(self) {
        std::mem::forget(self);
    }

    /// Whether no other change was under way at its beginning, and none began since.
    pub(super) fn is_the_last(&self) -> bool {
        let touches = self.touched.lock().get(&self.place).copied().unwrap_or_default();
        Some(touches.begun) == self.number
    }
}

impl Drop for Touch {
    fn drop(&mut self) {
        if let Some(touches) = self.touched.lock().get_mut(&self.place) {
            touches.under_way -= 1;
        }
    }
}
