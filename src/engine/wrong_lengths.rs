//! `WrongLengths`: data whose length is not that of their descriptor.
//!
//! A file that was cut off, as by a full disk, is found by its length, but only a manifest says which length is right. So a push
//! that brings a manifest compares the lengths of what it refers to, and hashes data of another length, since a descriptor may
//! be wrong, too. Damaged data are unknown from then on in this process, as long as they have that length: the next attempt of
//! the client sends the blob, which heals it everywhere, and a pull does not get it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sampan_driver::StorageDriver;

use crate::oci::Digest;
use crate::{Error, Result, verify};

/// Knowledge of data whose length differs from a descriptor.
#[derive(Debug, Default)]
pub(crate) struct WrongLengths {
    /// Whether anything is damaged: usually nothing is, and every pull asks.
    has_damaged: AtomicBool,
    /// A plain mutex: held for a lookup.
    known: Mutex<HashMap<Digest, Known>>,
    /// Held while data are hashed: wrong descriptors must not keep a disk busy.
    hashing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    size_bytes: u64,
    is_damaged: bool,
}

/// The most digests to remember.
const MAX_KNOWN: usize = 10_000;

impl WrongLengths {
    /// Whether data of this length are known to be damaged.
    pub(crate) fn is_damaged(&self, canonical: &Digest, size_bytes: u64) -> bool {
        self.has_damaged.load(Ordering::Relaxed) && self.lookup(canonical, size_bytes) == Some(true)
    }

    /// Finds out whether data of this length, which a descriptor contradicts, are damaged.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn examine(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
        size_bytes: u64,
    ) -> Result<bool> {
        if let Some(is_damaged) = self.lookup(canonical, size_bytes) {
            return Ok(is_damaged);
        }
        let _alone = self.hashing.lock().await;
        if let Some(is_damaged) = self.lookup(canonical, size_bytes) {
            return Ok(is_damaged);
        }
        let is_damaged = match verify::is_damaged(&**driver, canonical).await {
            Ok(is_damaged) => is_damaged,
            Err(verify::Error::Driver(error)) => return Err(error.into()),
            Err(error) => return Err(Error::Denied(error.to_string())),
        };
        if is_damaged {
            tracing::error!(
                "the {size_bytes} bytes of blob {canonical} are damaged; it is unknown until it is pushed again"
            );
        }
        self.remember(canonical, Known { size_bytes, is_damaged });
        Ok(is_damaged)
    }

    fn remember(&self, canonical: &Digest, what: Known) {
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(canonical.clone(), what);
        self.has_damaged.fetch_or(what.is_damaged, Ordering::Relaxed);
    }

    fn lookup(&self, canonical: &Digest, size_bytes: u64) -> Option<bool> {
        let known = self.known.lock().get(canonical).copied();
        known.filter(|known| known.size_bytes == size_bytes).map(|known| known.is_damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn few_digests_are_remembered_and_only_with_their_length() {
        let wrong = WrongLengths::default();
        let digest = |number: usize| Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        for number in 0..3 * MAX_KNOWN {
            wrong.remember(&digest(number), Known { size_bytes: 7, is_damaged: true });
        }
        let known = wrong.known.lock();
        let bytes = known.capacity() * (size_of::<(Digest, Known)>() + 1) + known.len() * (128 + 16);
        assert!(known.len() <= MAX_KNOWN && bytes <= 4 << 20, "{bytes}");
        drop(known);
        let last = digest(3 * MAX_KNOWN - 1);
        assert!(wrong.is_damaged(&last, 7) && !wrong.is_damaged(&last, 8));
    }
}
