//! What must be true of the store at every moment, and what the model knows of its clients' own deletions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use sampan_driver::StorageDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, RepositoryName};

use crate::Failed;
use crate::gc::collector::{lacking, paths};

/// Sees whether every linked manifest that `concerns` can be pulled whole (I1).
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

/// What clients have deleted themselves, so that nobody wonders where it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Deleted(Arc<Mutex<BTreeSet<(RepositoryName, Digest)>>>);

impl Deleted {
    pub(super) fn add(&self, name: &RepositoryName, digest: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((name.clone(), digest.clone()));
    }

    pub(super) fn has(&self, name: &RepositoryName, digest: &Digest) -> bool {
        let deleted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.contains(&(name.clone(), digest.clone()))
    }
}
