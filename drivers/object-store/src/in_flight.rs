//! `InFlightParts`: parts in flight whose writer is gone.
//!
//! A dropped writer cancels its requests, but not at once. Until then one of them may still arrive and overwrite the part
//! that the next writer of the upload sends under the same number. So the next writer waits here first. Between processes,
//! the store's check of the parts and the checksum protect the upload.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sampan_driver::DriverPath;
use tokio::sync::RwLock;

/// A lock that every part of an upload shares while it is in flight.
pub(crate) type PartsLock = Arc<RwLock<()>>;

/// The locks of the uploads with parts in flight in this process. A blocking mutex, since it is held for a lookup only.
#[derive(Debug, Default)]
pub(crate) struct InFlightParts(Mutex<HashMap<DriverPath, Weak<RwLock<()>>>>);

impl InFlightParts {
    /// The lock of the upload staged at `path`.
    pub(crate) fn parts_lock(&self, path: &DriverPath) -> PartsLock {
        let mut locks = self.0.lock();
        if let Some(lock) = locks.get(path).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = PartsLock::default();
        locks.insert(path.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Waits until no part of the upload staged at `path` is in flight.
    pub(crate) async fn clear(&self, path: &DriverPath) {
        let lock = self.0.lock().get(path).and_then(Weak::upgrade);
        if let Some(lock) = lock {
            drop(lock.write().await);
        }
    }
}
