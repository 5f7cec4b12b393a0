//! `UploadLocks`: the uploads that requests of this process hold, and those that it began recently.
//!
//! Both only serve this process: a lock separates two requests of one process (drivers separate processes), and the store
//! alone knows the state of an upload.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_driver::DriverPath;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::upload::UploadId;
use crate::{Error, Result};

/// The locks of all uploads of this process.
#[derive(Debug, Default)]
pub(crate) struct UploadLocks {
    /// A plain mutex: it guards a look-up and is never held across an await.
    slots: Mutex<HashMap<UploadId, LockEntry>>,
    /// Notified whenever a read of an upload ends.
    looked: Notify,
}

/// Why a request locks an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LockMode {
    /// To read its length. This is short, so other requests wait for it.
    Read,
    /// To change it. This takes as long as the client takes, so other requests fail at once.
    Write,
}

#[derive(Debug)]
enum LockEntry {
    Held(LockMode),
    /// Begun recently and unlocked since.
    Begun(Begun),
}

/// When and where an upload began.
#[derive(Debug)]
struct Begun {
    at: Instant,
    /// The `startedat` file: an upload belongs to its repository.
    started: DriverPath,
}

/// How many recent uploads are remembered; beyond this the store answers whether an upload exists.
const MAX_BEGUN: usize = 10_000;

/// How long the process trusts that an upload it began exists. Another process may end or lose the upload.
const FRESH: Duration = Duration::from_secs(5);

impl UploadLocks {
    /// Locks an upload for one request.
    pub(crate) async fn claim(&self, id: &UploadId, mode: LockMode) -> Result<UploadGuard<'_>> {
        loop {
            // Register before checking the slot, so that a release in between is not missed.
            let looked = self.looked.notified();
            if let Some(claim) = self.try_claim(id, mode)? {
                return Ok(claim);
            }
            looked.await;
        }
    }

    /// `None` while another request reads the upload.
    fn try_claim(&self, id: &UploadId, mode: LockMode) -> Result<Option<UploadGuard<'_>>> {
        let mut slots = self.lock();
        let begun = match slots.remove(id) {
            Some(LockEntry::Held(held)) => {
                slots.insert(id.clone(), LockEntry::Held(held));
                return match held {
                    LockMode::Read => Ok(None),
                    LockMode::Write => Err(Error::UploadBusy(id.clone())),
                };
            }
            Some(LockEntry::Begun(begun)) => Some(begun),
            None => None,
        };
        slots.insert(id.clone(), LockEntry::Held(mode));
        Ok(Some(UploadGuard { locks: self, id: id.clone(), begun, mode }))
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<UploadId, LockEntry>> {
        self.slots.lock()
    }
}

/// The lock of one request on an upload; dropping it unlocks the upload, whatever the result of the request.
#[derive(Debug)]
pub(crate) struct UploadGuard<'a> {
    locks: &'a UploadLocks,
    id: UploadId,
    /// When this process began the upload, if it has no bytes yet. The drop stores it for a short time.
    begun: Option<Begun>,
    mode: LockMode,
}

impl UploadGuard<'_> {
    /// Records that this request began the upload by writing `started`.
    pub(crate) fn note_begun(&mut self, started: DriverPath) {
        self.begun = Some(Begun { at: Instant::now(), started });
    }

    /// Whether this process wrote `started` recently.
    pub(crate) fn is_fresh(&self, started: &DriverPath) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.at.elapsed() < FRESH && begun.started == *started)
    }

    /// Forgets that this process began the upload: it has bytes now, or has ended.
    pub(crate) fn forget_begun(&mut self) {
        self.begun = None;
    }
}

impl Drop for UploadGuard<'_> {
    fn drop(&mut self) {
        let mut slots = self.locks.lock();
        match self.begun.take().filter(|begun| begun.at.elapsed() < FRESH) {
            Some(begun) => {
                if slots.len() >= MAX_BEGUN {
                    slots.retain(|_, slot| matches!(slot, LockEntry::Held(_)));
                }
                slots.insert(self.id.clone(), LockEntry::Begun(begun));
            }
            None => {
                slots.remove(&self.id);
            }
        }
        drop(slots);
        if self.mode == LockMode::Read {
            self.locks.looked.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Entry;
    use crate::oci::RepositoryName;

    #[tokio::test]
    async fn uploads_that_were_begun_are_forgotten_before_they_take_much() {
        let locks = UploadLocks::default();
        let name: RepositoryName = "a".repeat(255).parse().unwrap();
        for _ in 0..2 * MAX_BEGUN {
            let id = UploadId::random();
            let started = Entry::UploadStartedAt(name.clone(), id.clone()).path();
            locks.claim(&id, LockMode::Write).await.unwrap().note_begun(started);
        }
        let slots = locks.lock();
        assert!((1..=MAX_BEGUN).contains(&slots.len()), "{}", slots.len());
        // A table has one more byte per slot; a text has two counters or the rounding of the allocator.
        let of_table = slots.capacity() * (size_of::<(UploadId, LockEntry)>() + 1);
        let texts: usize = slots
            .iter()
            .map(|(id, slot)| match slot {
                LockEntry::Begun(begun) => id.as_str().len() + begun.started.as_str().len() + 2 * 32,
                LockEntry::Held(_) => id.as_str().len() + 32,
            })
            .sum();
        assert!(of_table + texts <= 8 << 20, "{of_table} and {texts} bytes");
    }
}
