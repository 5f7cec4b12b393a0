//! `Verdicts`: what was found of blobs whose length a descriptor contradicts.
//!
//! Any number of manifests may have a wrong length for one blob. Without this memory a pusher could make each pass over the
//! structure hash the blob once for each of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sampan_driver::StorageDriver;

use super::Result;
use super::data::{State, check_twice};
use super::pace::Pace;
use super::sizes::{Hash, digest};

/// The most verdicts to remember, of some 400 bytes at most: with more, blobs are hashed again.
const MAX_KNOWN: usize = 50_000;

/// The findings of a run about blobs that it hashed for their length.
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
        let state = check_twice(&**driver, &digest(hash), Some(pace)).await?;
        if state != State::Stopped {
            self.remember(*hash, state.clone());
        }
        Ok(state)
    }

    fn remember(&self, hash: Hash, state: State) {
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, state);
    }

    /// Forgets what was not good, since it may be healed.
    pub(super) fn forget_faults(&self) {
        self.known.lock().retain(|_, state| *state == State::Good);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_lengths_are_wrong_few_verdicts_are_remembered() {
        let verdicts = Verdicts::default();
        for number in 0..2 * MAX_KNOWN + 1 {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_be_bytes());
            verdicts.remember(hash, State::Good);
            assert!(verdicts.known.lock().len() <= MAX_KNOWN);
        }
        assert_eq!(verdicts.known.lock().len(), 1);
    }
}
