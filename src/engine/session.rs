//! `Sessions`: what this process remembers of uploads between their requests.
//!
//! It is a convenience and a turnstile, never the truth: a running hash that is not here is found in the store or made anew,
//! and the lock keeps two requests of this process apart (drivers keep processes apart).

use std::collections::HashMap;
use std::sync::Mutex;

use crate::upload_hash::UploadHash;
use crate::upload_id::UploadId;
use crate::{Error, Result};

/// All uploads that this process knows of.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// A plain mutex: it is held for a look-up, never across an await.
    slots: Mutex<HashMap<UploadId, Slot>>,
}

#[derive(Debug)]
enum Slot {
    Busy,
    Resting(Box<UploadHash>),
}

/// More uploads at rest than this, and their hashes are left to the store.
const MAX_RESTING: usize = 10_000;

impl Sessions {
    /// Takes hold of an upload for one request.
    pub(crate) fn claim(&self, id: &UploadId) -> Result<Claim<'_>> {
        let hash = match self.lock().insert(id.clone(), Slot::Busy) {
            Some(Slot::Busy) => return Err(Error::UploadBusy(id.clone())),
            Some(Slot::Resting(hash)) => Some(*hash),
            None => None,
        };
        Ok(Claim { sessions: self, id: id.clone(), hash })
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
    /// The running hash, if it is known. What stands here at the end is remembered.
    pub(crate) hash: Option<UploadHash>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut slots = self.sessions.lock();
        match self.hash.take() {
            Some(hash) => {
                if slots.len() >= MAX_RESTING {
                    slots.retain(|_, slot| matches!(slot, Slot::Busy));
                }
                slots.insert(self.id.clone(), Slot::Resting(Box::new(hash)));
            }
            None => {
                slots.remove(&self.id);
            }
        }
    }
}
