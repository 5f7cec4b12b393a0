//! `LastOperation`: the operation that a clause began last, for the message about a clause that hangs.

use std::fmt;

use async_trait::async_trait;
use parking_lot::Mutex;
use sampan_driver::{DriverPath, Operation, Result};

use crate::hooked::Hook;

/// The operation that began last. A std lock, held briefly.
#[derive(Debug, Default)]
pub(crate) struct LastOperation(Mutex<Option<(Operation, DriverPath)>>);

#[async_trait]
impl Hook for LastOperation {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        *self.0.lock() = Some((operation, path.clone()));
        Ok(())
    }
}

impl fmt::Display for LastOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0.lock() {
            Some((operation, path)) => write!(f, "{} of {path}", operation.as_str()),
            None => f.write_str("none; the store is being opened"),
        }
    }
}
