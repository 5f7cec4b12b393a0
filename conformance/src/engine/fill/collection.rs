//! A collection that stops before its first deletion.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sampan_driver::{DriverPath, Operation, StorageDriver};
use sampan_engine::gc::{Options, collect};
use sampan_engine::{Clock, Registry};

use crate::Failed;
use crate::hooked::{Hook, Hooked};

struct BeforeDeletions {
    /// Whether pending deletions were published.
    has_batch: AtomicBool,
    interruption: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl fmt::Debug for BeforeDeletions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeDeletions")
    }
}

#[async_trait]
impl Hook for BeforeDeletions {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let is_batch = |path: &DriverPath| path.name().is_some_and(|name| name.starts_with("doomed-"));
        if operation == Operation::PutContent && is_batch(path) {
            self.has_batch.store(true, Ordering::SeqCst);
        }
        if operation == Operation::DeleteAll && self.has_batch.load(Ordering::SeqCst) {
            let due = self.interruption.lock().take();
            if let Some(due) = due {
                due.await;
            }
        }
        Ok(())
    }
}

/// A driver that runs `interruption` before the first of the pending deletions, and whether it has.
pub(super) fn before_its_deletions(
    driver: &Arc<dyn StorageDriver>,
    interruption: BoxFuture<'static, ()>,
) -> (Arc<dyn StorageDriver>, impl Fn() -> bool) {
    let hook = Arc::new(BeforeDeletions {
        has_batch: AtomicBool::new(false),
        interruption: Mutex::new(Some(interruption)),
    });
    let has_come = {
        let hook = hook.clone();
        move || hook.interruption.lock().is_none()
    };
    (Arc::new(Hooked::new(driver.clone(), hook)), has_come)
}

/// Collects as if a month had passed since the store was written.
pub(super) async fn collect_all(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    let now = SystemTime::now() + Duration::from_secs(30 * 24 * 60 * 60);
    let registry = Registry::builder(driver.clone()).clock(Clock::new(move || now)).build();
    let options = Options { delete_untagged: true, grace: Duration::ZERO, ..Options::default() };
    collect(&registry, &options).await?;
    Ok(())
}
