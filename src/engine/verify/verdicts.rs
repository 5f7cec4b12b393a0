//! `Verdicts`: what was found of blobs whose length a descriptor contradicts.
//!
//! Any number of manifests may have a wrong length for one blob. Without this memory a pusher could make each pass over the
//! structure hash the blob once for each of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sampan_driver::StorageDriver;

use super::Result;
use super::data::{State, look_twice};
use super::pace::Pace;
use super::sizes::{Hash, digest};

/// What a run has found of blobs that it hashed for their length. It has at most one entry for each blob of the store.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// A plain mutex: held for a lookup.
    known: Mutex<HashMap<Hash, State>>,
}

impl Verdicts {
    /// What the data of a digest are; they are hashed once.
    pub(super) async fn state(
        &self,
        hash: &Hash,
        driver: &Arc<dyn StorageDriver>,
        pace: &Pace,
    ) -> Result<State> {
        if let Some(state) = self.known.lock().get(hash) {
            return Ok(state.clone());
        }
        let state = look_twice(&**driver, &digest(hash), Some(pace)).await?;
        if state != State::Stopped {
            self.known.lock().insert(*hash, state.clone());
        }
        Ok(state)
    }

    /// Forgets what was not good, since it may be healed.
    pub(super) fn forget_faults(&self) {
        self.known.lock().retain(|_, state| *state == State::Good);
    }
}
