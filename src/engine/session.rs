//! `Sessions`: what this process remembers of uploads between their requests.
//!
//! It is a convenience and a turnstile, never the truth: a running hash that is not here is found in the store or made anew,
//! and the lock keeps two requests of this process apart (drivers keep processes apart).

use std::collections::HashMap;
use std::sync::Mutex;

use sampan_driver::DriverPath;
use tokio::sync::Notify;

use crate::upload_hash::UploadHash;
use crate::upload_id::UploadId;
use crate::{Error, Result};

/// All uploads that this process knows of.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// A plain mutex: it is held for a look-up, never across an await.
    slots: Mutex<HashMap<UploadId, Slot>>,
    /// Told whenever a look at an upload is over.
    looked: Notify,
}

/// What a request wants of an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// To know how far it is. That is over in a moment, so others wait for it.
    Look,
    /// To change it. That takes as long as a client takes, so others are told to go.
    Write,
}

/// What is remembered of an upload at rest.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// The running hash.
    pub(crate) hash: UploadHash,
    /// The files that lie beside the staged one; `None` when another process may have written some.
    pub(crate) beside: Option<Vec<DriverPath>>,
}

#[derive(Debug)]
enum Slot {
    Held(Purpose),
    Resting(Box<Remembered>),
}

/// More uploads at rest than this, and their hashes are left to the store.
const MAX_RESTING: usize = 10_000;

impl Sessions {
    /// Takes hold of an upload for one request.
    pub(crate) async fn claim(&self, id: &UploadId, purpose: Purpose) -> Result<Claim<'_>> {
        loop {
            // Before the look at the slot: what ends in between is not missed.
            let looked = self.looked.notified();
            if let Some(claim) = self.try_claim(id, purpose)? {
                return Ok(claim);
            }
            looked.await;
        }
    }

    /// `None` while somebody looks at the upload.
    fn try_claim(&self, id: &UploadId, purpose: Purpose) -> Result<Option<Claim<'_>>> {
        let mut slots = self.lock();
        let remembered = match slots.remove(id) {
            Some(Slot::Held(held)) => {
                slots.insert(id.clone(), Slot::Held(held));
                return match held {
                    Purpose::Look => Ok(None),
                    Purpose::Write => Err(Error::UploadBusy(id.clone())),
                };
            }
            Some(Slot::Resting(remembered)) => Some(*remembered),
            None => None,
        };
        slots.insert(id.clone(), Slot::Held(purpose));
        Ok(Some(Claim { sessions: self, id: id.clone(), remembered, purpose }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The hold of one request on an upload; let go when it is dropped, whatever became of the request.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    sessions: &'a Sessions,
    id: UploadId,
    /// What is known of the upload. What stands here at the end is remembered.
    pub(crate) remembered: Option<Remembered>,
    purpose: Purpose,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut slots = self.sessions.lock();
        match self.remembered.take() {
            Some(remembered) => {
                if slots.len() >= MAX_RESTING {
                    slots.retain(|_, slot| matches!(slot, Slot::Held(_)));
                }
                slots.insert(self.id.clone(), Slot::Resting(Box::new(remembered)));
            }
            None => {
                slots.remove(&self.id);
            }
        }
        drop(slots);
        if self.purpose == Purpose::Look {
            self.sessions.looked.notify_waiters();
        }
    }
}
