//! `Refusing`: a hook that fails some operations at some paths.

use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, StorageDriver};

use crate::hooked::{Hook, Hooked};

/// Fails some operations at paths that begin with a text.
#[derive(Clone, Debug)]
pub(crate) struct Refusing {
    pub(crate) operations: &'static [Operation],
    pub(crate) prefix: String,
    pub(crate) kind: ErrorKind,
}

impl Refusing {
    pub(crate) fn over(self, driver: &Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> {
        Arc::new(Hooked::new(driver.clone(), Arc::new(self)))
    }
}

#[async_trait]
impl Hook for Refusing {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        match self.operations.contains(&operation) && path.as_str().starts_with(&self.prefix) {
            true => Err(DriverError::new(self.kind, "test", operation, path)),
            false => Ok(()),
        }
    }
}
