//! A file that keeps some space free in a store, for what frees more: notices of collections and deletions are files, too.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{DriverPath, ErrorKind, PutMode, Result, StorageDriver, StorageDriverExt};

use crate::layout::Entry;

/// Enough for the notices of some hundred deletions, and of a collection.
const RESERVED_BYTES: usize = 1 << 20;

/// Reserves the space in a store of directories that has an [identifier](crate::StoreIdentity::establish), as any with content
/// that was served has, unless it is reserved.
///
/// # Errors
///
/// Any error of the store, such as a full one.
pub async fn reserve_space(driver: &Arc<dyn StorageDriver>) -> Result<()> {
    if driver.capabilities().flat || !driver.exists(&Entry::StoreId.path()).await? {
        return Ok(());
    }
    let path = Entry::Reserve.path();
    let reserved = driver.stat_if_any(&path).await?;
    if reserved.is_some_and(|file| file.size_bytes == RESERVED_BYTES as u64) {
        return Ok(());
    }
    driver.put_content(&path, incompressible(RESERVED_BYTES), PutMode::Overwrite).await
}

/// Writes a small file of a collection, purge or deletion. In a full store it takes the reserved space.
///
/// # Errors
///
/// As [`StorageDriver::put_content`].
pub(crate) async fn put_in_reserve(
    driver: &Arc<dyn StorageDriver>,
    path: &DriverPath,
    content: Bytes,
    mode: PutMode,
) -> Result<()> {
    match driver.put_content(path, content.clone(), mode).await {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            let reserve = Entry::Reserve.path();
            if driver.stat_if_any(&reserve).await?.is_none() {
                return Err(error);
            }
            tracing::warn!("the store is full: {path} takes space that was reserved for it");
            driver.delete(&reserve).await?;
            driver.put_content(path, content, mode).await
        }
        written => written,
    }
}

/// Bytes that a file system cannot store in less space.
fn incompressible(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len / 8).flatten().collect()
}
