//! Hooks of a driver: one counts its operations, and one runs something else before one of them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sampan_driver::{DriverPath, Operation, StorageDriver};
use tokio::sync::Semaphore;

use crate::hooked::{Hook, Hooked};

/// Counts the operations of a driver, and may stop it after some of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<Count>);

#[derive(Debug)]
struct Count {
    operations: Mutex<Vec<(Operation, DriverPath)>>,
    left: Mutex<Option<usize>>,
    /// A permit for each operation that was stopped, of which a test may await several.
    stopped: Semaphore,
}

impl Default for Count {
    fn default() -> Self {
        Self { operations: Mutex::default(), left: Mutex::default(), stopped: Semaphore::new(0) }
    }
}

impl Counted {
    pub(crate) fn over(&self, driver: &Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> {
        Arc::new(Hooked::new(driver.clone(), self.0.clone()))
    }

    pub(crate) fn count(&self, counts: impl Fn(Operation, &DriverPath) -> bool) -> usize {
        let operations = self.0.operations.lock();
        operations.iter().filter(|(operation, path)| counts(*operation, path)).count()
    }

    pub(crate) fn clear(&self) {
        self.0.operations.lock().clear();
    }

    /// Allows this number of operations, and no more.
    pub(crate) fn stop_after(&self, operations: usize) {
        self.0.stopped.forget_permits(usize::MAX);
        *self.0.left.lock() = Some(operations);
    }

    /// Allows all operations again, but for those that were stopped.
    pub(crate) fn go_on(&self) {
        *self.0.left.lock() = None;
    }

    pub(crate) async fn stopped(&self) {
        // The semaphore is never closed.
        if let Ok(stopped) = self.0.stopped.acquire().await {
            stopped.forget();
        }
    }
}

#[async_trait]
impl Hook for Count {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let stops = {
            let mut left = self.left.lock();
            let stops = *left == Some(0);
            *left = left.map(|left| left.saturating_sub(1));
            stops
        };
        if stops {
            self.stopped.add_permits(1);
            std::future::pending::<()>().await;
        }
        self.operations.lock().push((operation, path.clone()));
        Ok(())
    }
}

type Interruption = BoxFuture<'static, ()>;

/// Runs something else before one operation of a driver.
pub(super) struct Interrupted {
    left: Mutex<(usize, Option<Interruption>)>,
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl Interrupted {
    pub(super) fn new(moment: usize, interruption: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new((moment, Some(Box::pin(interruption)))) })
    }

    pub(super) fn has_come(&self) -> bool {
        self.left.lock().1.is_none()
    }
}

#[async_trait]
impl Hook for Interrupted {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, _: Operation, _: &DriverPath) -> sampan_driver::Result<()> {
        let due = {
            let mut left = self.left.lock();
            left.0 = left.0.saturating_sub(1);
            if left.0 == 0 { left.1.take() } else { None }
        };
        if let Some(interruption) = due {
            interruption.await;
        }
        Ok(())
    }
}
