//! `Deletions`: deletions of manifests, which finish also when their request is dropped.
//!
//! A deletion by digest looks at every tag of the repository, which takes minutes in a large one on an object store; longer than
//! many clients wait. Were it dropped with its request, each attempt would begin anew, and none would ever come to the end. So it
//! runs by itself: the request waits for it, and one for the same manifest waits until it is over. They are few at a time;
//! further ones wait with their request, which costs nothing of the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::oci::{Digest, RepositoryName};

/// How many deletions run at a time. Each holds as many tags as are looked at together, and a page of names.
const MOST_RUNNING: u32 = 16;

/// The deletions that are running.
#[derive(Debug)]
pub(crate) struct Deletions {
    permits: Semaphore,
    /// A plain mutex: it is held for a look-up, never across an await.
    running: Mutex<HashMap<Key, watch::Receiver<()>>>,
}

type Key = (RepositoryName, Digest);

impl Default for Deletions {
    fn default() -> Self {
        Self { permits: Semaphore::new(MOST_RUNNING as usize), running: Mutex::default() }
    }
}

impl Deletions {
    /// Begins the deletion of a manifest when no other is deleting it, and not too many are running.
    pub(crate) async fn begin(self: &Arc<Self>, name: &RepositoryName, canonical: &Digest) -> Running {
        let key = (name.clone(), canonical.clone());
        loop {
            let permit = self.acquire(1).await;
            let mut other = match self.try_begin(&key) {
                Ok(end) => {
                    permit.forget();
                    return Running { deletions: self.clone(), key, _end: end };
                }
                Err(other) => other,
            };
            drop(permit);
            // It says nothing, and ends.
            let _ = other.changed().await;
        }
    }

    /// Waits until those that are running have come to their end.
    pub(crate) async fn finish(&self) {
        drop(self.acquire(MOST_RUNNING).await);
    }

    fn try_begin(&self, key: &Key) -> Result<watch::Sender<()>, watch::Receiver<()>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = running.get(key) {
            return Err(other.clone());
        }
        let (end, receiver) = watch::channel(());
        running.insert(key.clone(), receiver);
        Ok(end)
    }

    async fn acquire(&self, permits: u32) -> SemaphorePermit<'_> {
        #[expect(clippy::expect_used, reason = "it is never closed")]
        self.permits.acquire_many(permits).await.expect("invariant: the semaphore is open")
    }
}

/// A deletion that is running, until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    deletions: Arc<Deletions>,
    key: Key,
    /// Those that wait see it go.
    _end: watch::Sender<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.deletions.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.deletions.permits.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::sha256_of(&number.to_be_bytes())
    }

    #[tokio::test]
    async fn one_manifest_is_deleted_once_at_a_time_and_few_are_together() {
        let (deletions, name) = (Arc::new(Deletions::default()), "a/b".parse().unwrap());
        let mut running = Vec::new();
        for number in 0..MOST_RUNNING {
            running.push(deletions.begin(&name, &digest(number)).now_or_never().unwrap());
        }
        let (zero, ninety_nine) = (digest(0), digest(99));
        let other = deletions.begin(&name, &ninety_nine);
        tokio::pin!(other);
        assert!(other.as_mut().now_or_never().is_none(), "there is no room");
        running.pop();
        let other = other.now_or_never().unwrap();
        drop(running.pop());

        let same = deletions.begin(&name, &zero);
        tokio::pin!(same);
        assert!(same.as_mut().now_or_never().is_none(), "it is being deleted");
        assert!(deletions.begin(&"c".parse().unwrap(), &zero).now_or_never().is_some());
        running.remove(0);
        let same = same.now_or_never().unwrap();

        let finish = deletions.finish();
        tokio::pin!(finish);
        assert!(finish.as_mut().now_or_never().is_none());
        drop((running, same, other));
        finish.now_or_never().unwrap();
        assert!(deletions.running.lock().unwrap().is_empty());
    }
}
