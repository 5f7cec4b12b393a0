//! A driver that blocks the thread that polls it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use sampan_driver::{DriverPath, Operation, Result, StorageDriver};

use crate::hooked::{Hook, Hooked};

/// Makes every operation of `inner` block a little, as if for a disk.
pub(super) fn waiting(inner: Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> {
    Arc::new(Hooked::new(inner, Arc::new(Waits)))
}

#[derive(Debug)]
struct Waits;

#[async_trait]
impl Hook for Waits {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, _: Operation, _: &DriverPath) -> Result<()> {
        thread::sleep(Duration::from_micros(100));
        Ok(())
    }
}
