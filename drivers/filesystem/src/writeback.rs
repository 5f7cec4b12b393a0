//! `Writeback`: writes an upload to the disk while more of it arrives.
//!
//! The kernel keeps written pages for half a minute, so otherwise the commit of a large upload, and its
//! client, would wait for all of it: perhaps longer than a proxy in between.
//!
//! The kernel reports a page that it could not write once to the holder of an open file, and forgets the
//! page. So a failed sync removes the file: an append to an incomplete file is then impossible, even after
//! the writer that started the sync is gone.

use std::sync::Arc;

use rustix::io::Errno;

use crate::error::Failure;
use crate::pool::Job;
use crate::staging::Staged;
use crate::store::Store;

/// Enough to keep a disk busy, and little enough to wait for at the end (`tests/benches/README.md`).
pub(crate) const STEP_BYTES: u64 = 16 * 1024 * 1024;

/// The syncs of a staged file before its commit, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Writeback {
    /// The size of the file at the start of the last sync, in bytes.
    synced_bytes: u64,
    under_way: Option<Job<Result<(), Errno>>>,
    /// Why the file was removed.
    failed: Option<Errno>,
}

impl Writeback {
    /// For a file whose first `size_bytes` an earlier writer wrote.
    pub(crate) fn after(size_bytes: u64) -> Self {
        Self { synced_bytes: size_bytes, ..Self::default() }
    }

    /// Starts a sync if enough was written since the last one started, and no other file is being synced.
    ///
    /// # Errors
    ///
    /// As [`Self::finish_writes`], if the last sync has ended.
    pub(crate) async fn advance(
        &mut self,
        store: &Arc<Store>,
        staged: &Arc<Staged>,
        written_bytes: u64,
    ) -> Result<(), Failure> {
        let is_due = written_bytes - self.synced_bytes >= STEP_BYTES;
        if !is_due || self.under_way.as_ref().is_some_and(|job| !job.has_ended()) {
            return Ok(());
        }
        self.finish_writes().await?;
        let Some(permit) = store.syncs.try_permit() else { return Ok(()) };
        let (store, staged) = (Arc::clone(store), Arc::clone(staged));
        self.synced_bytes = written_bytes;
        self.under_way = Some(permit.start(move || Ok(or_remove(&store, &staged, staged.sync()))));
        Ok(())
    }

    /// Whether the file still exists, as far as is known without waiting.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.failed.map_or(Ok(()), |errno| Err(Failure::NotOnDisk(errno)))
    }

    #[cfg(test)]
    pub(crate) fn has_begun(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the end of the running sync, and leaves its result.
    #[cfg(test)]
    pub(crate) async fn wait(&self) {
        while self.under_way.as_ref().is_some_and(|job| !job.has_ended()) {
            tokio::task::yield_now().await;
        }
    }

    /// The writeback of a file whose sync failed.
    #[cfg(test)]
    pub(crate) fn failed(errno: Errno) -> Self {
        Self { failed: Some(errno), ..Self::default() }
    }

    /// Waits for the running sync.
    ///
    /// # Errors
    ///
    /// [`Failure::NotOnDisk`] if this or an earlier one failed, and the file was removed.
    pub(crate) async fn finish_writes(&mut self) -> Result<(), Failure> {
        if let Some(job) = &mut self.under_way {
            let outcome = job.outcome().await;
            self.under_way = None;
            self.failed = outcome?.err();
        }
        self.check()
    }
}

/// Returns the `outcome` of a sync; removes the file if it failed.
fn or_remove(store: &Store, staged: &Staged, outcome: Result<(), Errno>) -> Result<(), Errno> {
    if outcome.is_err() {
        _ = staged.remove(store); // The first failure is the cause.
    }
    outcome
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sampan_driver::{DriverPath, WriteMode};
    use tempfile::TempDir;

    use super::*;
    use crate::staging;

    async fn staged() -> (TempDir, Arc<Store>, Arc<Staged>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path().to_owned(), 25).unwrap());
        let path: DriverPath = "/u/data".parse().unwrap();
        let slot = staging::claim(&store.root, &path).await.unwrap().slot();
        let staged =
            Staged::open(&store, path.as_key(), &WriteMode::Create(Default::default()), slot).unwrap();
        staged.write(&[Bytes::from_static(b"content")], 0).unwrap();
        (dir, store, Arc::new(staged))
    }

    #[tokio::test]
    async fn a_sync_starts_after_a_step_and_when_the_disk_is_free() {
        let (_dir, store, staged) = staged().await;
        let mut writeback = Writeback::after(7);
        writeback.advance(&store, &staged, 7 + STEP_BYTES - 1).await.unwrap();
        assert!(writeback.under_way.is_none());

        let busy = store.syncs.try_permit().unwrap();
        writeback.advance(&store, &staged, 7 + STEP_BYTES).await.unwrap();
        assert!(writeback.under_way.is_none());
        drop(busy);

        writeback.advance(&store, &staged, 8 + STEP_BYTES).await.unwrap();
        assert!(writeback.under_way.is_some());
        writeback.finish_writes().await.unwrap();
        writeback.advance(&store, &staged, 7 + 2 * STEP_BYTES).await.unwrap();
        assert!(writeback.under_way.is_none(), "one byte less than a step after the last");
    }

    #[tokio::test]
    async fn a_file_that_the_disk_refused_is_removed_and_its_writer_fails() {
        let (dir, store, staged) = staged().await;
        let mut writeback = Writeback::default();
        let (store, lost) = (Arc::clone(&store), Arc::clone(&staged));
        let permit = store.syncs.try_permit().unwrap();
        writeback.under_way = Some(permit.start(move || Ok(or_remove(&store, &lost, Err(Errno::NOSPC)))));
        writeback.check().unwrap();
        for _ in 0..2 {
            assert!(matches!(writeback.finish_writes().await, Err(Failure::NotOnDisk(Errno::NOSPC))));
        }
        assert!(matches!(writeback.check(), Err(Failure::NotOnDisk(Errno::NOSPC))));
        assert!(!dir.path().join("u/data").exists());
    }
}
