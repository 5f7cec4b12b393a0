//! `Flights`: parts that are on their way although their writer is gone.
//!
//! A writer that is dropped ends its requests, but not at the same moment. Until then one of them might still arrive, over
//! the part that the next writer of the upload sends under the same number. So that one waits here first.
//! Between processes the store's check of the parts, and the checksum, stand against the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sampan_driver::DriverPath;
use tokio::sync::RwLock;

/// A lock that every part of an upload shares while it is on its way.
pub(crate) type Lane = Arc<RwLock<()>>;

/// The lanes of the uploads of this process that send parts. A std mutex: it is held for a look-up.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<DriverPath, Weak<RwLock<()>>>>);

impl Flights {
    /// The lane of the upload staged at `path`.
    pub(crate) fn lane(&self, path: &DriverPath) -> Lane {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(path).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Lane::default();
        lanes.insert(path.clone(), Arc::downgrade(&lane));
        lane
    }

    /// Waits until no part of the upload staged at `path` is on its way.
    pub(crate) async fn clear(&self, path: &DriverPath) {
        let lane = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).and_then(Weak::upgrade);
        if let Some(lane) = lane {
            drop(lane.write().await);
        }
    }
}
