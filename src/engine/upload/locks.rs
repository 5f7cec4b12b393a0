//! `UploadLocks`: which uploads this process is at, and which it has begun a moment ago.
//!
//! It is a turnstile and a convenience, never the truth: the lock keeps two requests of this process apart (drivers keep
//! processes apart), and what an upload is, is asked of the store.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use sampan_driver::DriverPath;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::upload::UploadId;
use crate::{Error, Result};

/// All uploads that this process knows of.
#[derive(Debug, Default)]
pub(crate) struct UploadLocks {
    /// A plain mutex: it is held for a look-up, never across an await.
    slots: Mutex<HashMap<UploadId, Slot>>,
    /// Told whenever a look at an upload is over.
    looked: Notify,
}

/// What a request wants of an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LockMode {
    /// To know how far it is. That is over in a moment, so others wait for it.
    PendingSnapshot,
    /// To change it. That takes as long as a client takes, so others are told to go.
    Write,
}

#[derive(Debug)]
enum Slot {
    Held(LockMode),
    /// At rest since it was begun.
    Begun(Begun),
}

/// When and where an upload was begun.
#[derive(Debug)]
struct Begun {
    at: Instant,
    /// The file that tells so: an upload belongs to its repository.
    started: DriverPath,
}

/// More uploads that have just begun than this, and the store is asked whether they have.
const MAX_BEGUN: usize = 10_000;

/// For so long it is believed that an upload which this process has begun is there. Another process may end or lose it.
const FRESH: Duration = Duration::from_secs(5);

impl UploadLocks {
    /// Takes hold of an upload for one request.
    pub(crate) async fn claim(&self, id: &UploadId, purpose: LockMode) -> Result<UploadGuard<'_>> {
        loop {
            // Before the look at the slot: what ends in between is not missed.
            let looked = self.looked.notified();
            if let Some(claim) = self.try_claim(id, purpose)? {
                return Ok(claim);
            }
            looked.await;
        }
    }

    /// `None` while another request looks at the upload.
    fn try_claim(&self, id: &UploadId, purpose: LockMode) -> Result<Option<UploadGuard<'_>>> {
        let mut slots = self.lock();
        let begun = match slots.remove(id) {
            Some(Slot::Held(held)) => {
                slots.insert(id.clone(), Slot::Held(held));
                return match held {
                    LockMode::PendingSnapshot => Ok(None),
                    LockMode::Write => Err(Error::UploadBusy(id.clone())),
                };
            }
            Some(Slot::Begun(begun)) => Some(begun),
            None => None,
        };
        slots.insert(id.clone(), Slot::Held(purpose));
        Ok(Some(UploadGuard { locks: self, id: id.clone(), begun, purpose }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The hold of one request on an upload; let go when it is dropped, whatever became of the request.
#[derive(Debug)]
pub(crate) struct UploadGuard<'a> {
    locks: &'a UploadLocks,
    id: UploadId,
    /// When this process began the upload, if it has no bytes yet. What is here at the end is remembered for a moment.
    begun: Option<Begun>,
    purpose: LockMode,
}

impl UploadGuard<'_> {
    /// Notes that the upload was begun now, by writing `started`.
    pub(crate) fn note_begun(&mut self, started: DriverPath) {
        self.begun = Some(Begun { at: Instant::now(), started });
    }

    /// Whether this process wrote `started` a moment ago.
    pub(crate) fn is_fresh(&self, started: &DriverPath) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.at.elapsed() < FRESH && begun.started == *started)
    }

    /// Forgets that this process began the upload: there are bytes now, or it is over.
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
                    slots.retain(|_, slot| matches!(slot, Slot::Held(_)));
                }
                slots.insert(self.id.clone(), Slot::Begun(begun));
            }
            None => {
                slots.remove(&self.id);
            }
        }
        drop(slots);
        if self.purpose == LockMode::PendingSnapshot {
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
        // A table has a byte more for each place; a text has two counters or what the allocator rounds up.
        let of_table = slots.capacity() * (size_of::<(UploadId, Slot)>() + 1);
        let texts: usize = slots
            .iter()
            .map(|(id, slot)| match slot {
                Slot::Begun(begun) => id.as_str().len() + begun.started.as_str().len() + 2 * 32,
                Slot::Held(_) => id.as_str().len() + 32,
            })
            .sum();
        assert!(of_table + texts <= 8 << 20, "{of_table} and {texts} bytes");
    }
}
