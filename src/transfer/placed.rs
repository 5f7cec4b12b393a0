//! `PlacedBlobs`: the repositories that got a blob in an import.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sampan_engine::oci::{Digest, RepositoryName};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The images of a repository follow each other, so its last blobs are known; the rest are hints for a mount.
const MAX_PLACED: usize = 4;

/// The last repositories of each blob. Images that share a blob wait for the one that stores it.
#[derive(Debug, Default)]
pub(crate) struct PlacedBlobs(Mutex<HashMap<Digest, Arc<Mutex<VecDeque<RepositoryName>>>>>);

/// A blob that no other image stores meanwhile.
pub(crate) struct PlacedBlob(OwnedMutexGuard<VecDeque<RepositoryName>>);

impl PlacedBlobs {
    /// Waits until no other image stores the blob.
    pub(crate) async fn claim(&self, digest: &Digest) -> PlacedBlob {
        let repositories = self.0.lock().await.entry(digest.clone()).or_default().clone();
        PlacedBlob(repositories.lock_owned().await)
    }
}

impl PlacedBlob {
    /// Whether the repository is known to have it.
    pub(crate) fn is_in(&self, repository: &RepositoryName) -> bool {
        self.0.contains(repository)
    }

    /// Repositories that have it, the last one first.
    pub(crate) fn repositories(&self) -> impl Iterator<Item = &RepositoryName> {
        self.0.iter()
    }

    /// Records that the repository has it.
    pub(crate) fn add(&mut self, repository: &RepositoryName) {
        self.0.truncate(MAX_PLACED - 1);
        self.0.push_front(repository.clone());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_blob_has_one_claim_at_a_time_and_knows_its_last_repositories() {
        let (placed, digest) = (PlacedBlobs::default(), Digest::sha256_of(b"x"));
        let names: Vec<RepositoryName> = ["a", "b", "c", "d", "e"].map(|name| name.parse().unwrap()).into();
        let first = placed.claim(&digest).await;
        assert!(placed.claim(&digest).now_or_never().is_none());
        assert!(placed.claim(&Digest::sha256_of(b"y")).now_or_never().is_some());
        drop(first);
        for name in &names {
            placed.claim(&digest).await.add(name);
        }
        let blob = placed.claim(&digest).await;
        assert!(!blob.is_in(&names[0]));
        assert!(names[1..].iter().rev().eq(blob.repositories()));
    }
}
