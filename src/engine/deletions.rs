//! `Deletions`: deletions of manifests, which finish even when the request is dropped.
//!
//! A deletion by digest reads every tag of the repository. In a large repository on an object store this takes minutes,
//! longer than many clients wait. If the deletion ended with its request, each attempt would start over and none would
//! finish. So each deletion runs in its own task; its request waits for it, and a second request for the same manifest waits
//! until it is over. The number of tasks is bounded; further deletions wait in their requests, which costs the store nothing.
//!
//! The removal of a single tag is short, but must not end between its notice and what it removes either: pushes of the tag would
//! wait for it. So it runs in its own task, too.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tracing::Instrument;

use crate::oci::{Digest, RepositoryName};

/// How many deletions run at a time. Each holds one page of names and the tags that it reads in parallel.
const MAX_RUNNING: u32 = 16;

/// How many removals of single tags run at a time.
const MAX_TAGS: u32 = 256;

/// The deletions that are running.
#[derive(Debug)]
pub(crate) struct Deletions {
    permits: Semaphore,
    /// A plain mutex: it guards a look-up and is never held across an await.
    running: Mutex<HashMap<Key, watch::Receiver<()>>>,
    tags: Arc<Semaphore>,
}

type Key = (RepositoryName, Digest);

impl Default for Deletions {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(MAX_RUNNING as usize),
            running: Mutex::default(),
            tags: Arc::new(Semaphore::new(MAX_TAGS as usize)),
        }
    }
}

impl Deletions {
    /// Begins the deletion of a manifest. Waits while another deletion of it runs, or too many deletions run.
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
            // The other deletion sends nothing; the receiver ends with it.
            let _ = other.changed().await;
        }
    }

    /// Runs the removal of a tag in its own task, which continues when the caller is dropped.
    pub(crate) async fn remove_tag<T: Send + 'static>(
        &self,
        removal: impl Future<Output = T> + Send + 'static,
    ) -> T {
        #[expect(clippy::expect_used, reason = "it is never closed")]
        let permit = self.tags.clone().acquire_owned().await.expect("invariant: the semaphore is open");
        run_to_the_end(async move {
            let _permit = permit;
            removal.await
        })
        .await
    }

    /// Waits until all running deletions are over.
    pub(crate) async fn finish(&self) {
        drop(self.acquire(MAX_RUNNING).await);
        self.finish_tags().await;
    }

    /// Waits until all running removals of single tags are over.
    pub(crate) async fn finish_tags(&self) {
        drop(self.tags.acquire_many(MAX_TAGS).await);
    }

    fn try_begin(&self, key: &Key) -> Result<watch::Sender<()>, watch::Receiver<()>> {
        let mut running = self.running.lock();
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

/// Runs a future in its own task, which continues when the caller is dropped.
pub(crate) async fn run_to_the_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(future.in_current_span()).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A running deletion; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Running {
    deletions: Arc<Deletions>,
    key: Key,
    /// Waiting requests see the sender go.
    _end: watch::Sender<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.deletions.running.lock().remove(&self.key);
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
        for number in 0..MAX_RUNNING {
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
        assert!(deletions.running.lock().is_empty());
    }
}
