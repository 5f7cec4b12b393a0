//! `WrongLengths`: data whose length is not that of their descriptor.
//!
//! A file that was cut off, as by a full disk, is found by its length, but only a manifest says which length is right. So a push
//! that brings a manifest compares the lengths of what it refers to, and hashes data of another length, since a descriptor may
//! be wrong, too. Damaged data are unknown from then on in this process, until they are replaced: the next attempt of the client
//! sends the blob, which heals it everywhere, and a pull does not get it. The process that replaces them forgets what it knew;
//! another one notices it by the time of the file.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sampan_driver::{FileInfo, StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use crate::layout::Entry;
use crate::oci::Digest;
use crate::verify::Damage;
use crate::{Error, Result, verify};

/// Knowledge of data whose length differs from a descriptor.
#[derive(Debug, Default)]
pub(crate) struct WrongLengths {
    /// Whether anything is damaged: usually nothing is, and every pull asks.
    has_damaged: AtomicBool,
    /// A plain mutex: held for a lookup.
    known: Mutex<HashMap<Digest, CachedLength>>,
    /// Held while data are hashed: wrong descriptors must not keep a disk busy.
    hashing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct CachedLength {
    size_bytes: u64,
    modified: SystemTime,
    is_damaged: bool,
    /// When to look again; `None` for never.
    until: Option<Instant>,
}

impl CachedLength {
    fn is_of(&self, file: &FileInfo) -> bool {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        !is_over && (self.size_bytes, self.modified) == (file.size_bytes, file.modified)
    }
}

/// The most digests to remember.
const MAX_KNOWN: usize = 10_000;

/// How long data that cannot be read count as damaged: a client pushes them again meanwhile, and a disk or an administrator may
/// repair them.
const RETRY_AFTER: Duration = Duration::from_secs(300);

impl WrongLengths {
    /// Whether data of this length are known to be damaged. Only where such data were, the store is asked whether they are
    /// the same.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn is_damaged(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
        size_bytes: u64,
    ) -> Result<bool> {
        let has_same = |known: &CachedLength| known.is_damaged && known.size_bytes == size_bytes;
        if !self.has_damaged.load(Ordering::Relaxed)
            || !self.lookup(canonical).is_some_and(|it| has_same(&it))
        {
            return Ok(false);
        }
        let is_damaged = self.check_data(driver, canonical).await?;
        if is_damaged.is_err() {
            self.forget(canonical);
        }
        Ok(is_damaged.unwrap_or(false))
    }

    /// Finds out whether data, whose length a descriptor contradicts, are damaged.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn examine(&self, driver: &Arc<dyn StorageDriver>, canonical: &Digest) -> Result<bool> {
        if let Ok(is_damaged) = self.check_data(driver, canonical).await? {
            return Ok(is_damaged);
        }
        let _alone = self.hashing.lock().await;
        // The file before it is hashed: what replaces it later has another time.
        let file = match self.check_data(driver, canonical).await? {
            Ok(is_damaged) => return Ok(is_damaged),
            Err(file) => file,
        };
        let damage = match verify::damage(&**driver, canonical).await {
            Ok(damage) => damage,
            Err(verify::Error::Driver(error)) => return Err(error.into()),
            Err(error) => return Err(Error::Denied(error.to_string())),
        };
        let size_bytes = file.size_bytes;
        let (is_damaged, until) = match damage {
            Damage::None => (false, None),
            Damage::Content => {
                tracing::error!(
                    "the {size_bytes} bytes of blob {canonical} are damaged; it is unknown until it is pushed again"
                );
                (true, None)
            }
            Damage::Unreadable => {
                tracing::error!(
                    "the {size_bytes} bytes of blob {canonical} cannot be read; it is unknown for some minutes, or until it is pushed again"
                );
                (true, Some(Instant::now() + RETRY_AFTER))
            }
        };
        self.remember(canonical, CachedLength { size_bytes, modified: file.modified, is_damaged, until });
        Ok(is_damaged)
    }

    /// Whether the data are damaged, as far as known; or the file of data of which that is unknown.
    async fn check_data(
        &self,
        driver: &Arc<dyn StorageDriver>,
        canonical: &Digest,
    ) -> Result<std::result::Result<bool, FileInfo>> {
        let Some(file) = stat(driver, canonical).await? else { return Ok(Ok(false)) };
        let known = self.lookup(canonical).filter(|known| known.is_of(&file));
        Ok(known.map(|known| known.is_damaged).ok_or(file))
    }

    /// Forgets what was known of data that are replaced now.
    pub(crate) fn forget(&self, canonical: &Digest) {
        if !self.has_damaged.load(Ordering::Relaxed) {
            return;
        }
        let mut known = self.known.lock();
        if known.remove(canonical).is_some_and(|known| known.is_damaged) {
            self.has_damaged.store(known.values().any(|known| known.is_damaged), Ordering::Relaxed);
        }
    }

    fn remember(&self, canonical: &Digest, what: CachedLength) {
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(canonical.clone(), what);
        self.has_damaged.fetch_or(what.is_damaged, Ordering::Relaxed);
    }

    fn lookup(&self, canonical: &Digest) -> Option<CachedLength> {
        self.known.lock().get(canonical).copied()
    }
}

async fn stat(driver: &Arc<dyn StorageDriver>, canonical: &Digest) -> Result<Option<FileInfo>> {
    Ok(driver.stat_if_any(&Entry::Blob(canonical.clone()).path()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn few_digests_are_remembered_until_they_are_forgotten() {
        let wrong = WrongLengths::default();
        let digest = |number: usize| Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        for number in 0..3 * MAX_KNOWN {
            let known = CachedLength {
                size_bytes: 7,
                modified: SystemTime::UNIX_EPOCH,
                is_damaged: true,
                until: None,
            };
            wrong.remember(&digest(number), known);
        }
        let known = wrong.known.lock();
        let bytes = known.capacity() * (size_of::<(Digest, CachedLength)>() + 1) + known.len() * (128 + 16);
        assert!(known.len() <= MAX_KNOWN && bytes <= 4 << 20, "{bytes}");
        drop(known);
        let last = digest(3 * MAX_KNOWN - 1);
        assert!(wrong.lookup(&last).is_some());
        wrong.forget(&last);
        assert!(wrong.lookup(&last).is_none() && wrong.has_damaged.load(Ordering::Relaxed));
        (0..3 * MAX_KNOWN).for_each(|number| wrong.forget(&digest(number)));
        assert!(!wrong.has_damaged.load(Ordering::Relaxed), "a pull asks again");
    }
}
