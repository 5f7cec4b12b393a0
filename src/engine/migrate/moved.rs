//! `Moved`: the marker of a store that was moved elsewhere.

use std::sync::Arc;
use std::time::SystemTime;

use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use crate::clock::{millis, time_of};
use crate::layout::Entry;

/// The marker of a store that was moved elsewhere: what is pushed to it is missing there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// The new place of the store, as the command that moved it wrote it.
    pub to: String,
    /// The time of the move.
    pub at: SystemTime,
}

#[derive(Deserialize, Serialize)]
struct Content {
    to: String,
    moved_ms: u64,
}

impl Moved {
    /// Reads the marker of a store; `None` if it has none. A damaged one is a marker all the same.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn read(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Option<Self>> {
        let content = driver.get_content_if_any(&Entry::Moved.path()).await?;
        Ok(content.map(|content| match serde_json::from_slice(&content) {
            Ok(Content { to, moved_ms }) => Self { to, at: time_of(moved_ms) },
            Err(_) => Self { to: "another store".to_owned(), at: SystemTime::UNIX_EPOCH },
        }))
    }

    pub(super) async fn write(&self, driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<()> {
        let content = Content { to: self.to.clone(), moved_ms: millis(self.at) };
        let content = serde_json::to_vec(&content).unwrap_or_default();
        driver.put_content(&Entry::Moved.path(), content.into(), PutMode::Overwrite).await
    }
}
