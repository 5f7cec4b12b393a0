//! `put_one_by_one`: a `put_all` for stores without transactions.

use bytes::Bytes;

use crate::{DriverPath, PutMode, Result, StorageDriver};

/// Puts one file after the other and stops at the first error: a [`put_all`](StorageDriver::put_all) for a store
/// that publishes each file by itself.
///
/// # Errors
///
/// The first error of [`put_content`](StorageDriver::put_content). The files before it are published.
pub async fn put_one_by_one(driver: &dyn StorageDriver, files: &[(DriverPath, Bytes)]) -> Result<()> {
    for (path, content) in files {
        driver.put_content(path, content.clone(), PutMode::Overwrite).await?;
    }
    Ok(())
}
