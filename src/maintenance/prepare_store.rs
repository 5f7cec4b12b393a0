//! Prepares a store for bad days: an identifier, by which migrations and backups recognise it, and reserved space, for what
//! frees more when its disk is full.

use std::sync::Arc;
use std::time::Duration;

use sampan_driver::StorageDriver;
use sampan_engine::{Registry, StoreIdentity, reserve_space};

/// The pause between two looks, each of which costs a few requests to the store.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Prepares the store of a running registry again and again, until dropped: one that was empty at the start has content by and
/// by, and deletions in a full one have taken the reserved space.
pub async fn keep_store_prepared(registry: Registry) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !registry.limits().read_only {
            prepare_store(registry.driver()).await;
        }
    }
}

/// Prepares a store with content. Without an identifier it is recognised by its content, and a full one says that it is full.
pub async fn prepare_store(driver: &Arc<dyn StorageDriver>) {
    if let Err(error) = StoreIdentity::establish(driver).await {
        tracing::debug!(%error, "the store gets no identifier");
    }
    if let Err(error) = reserve_space(driver).await {
        tracing::debug!(%error, "no space is reserved");
    }
}

#[cfg(test)]
mod tests {
    use sampan_driver::{DriverConfig, PutMode, StorageDriverExt};
    use sampan_driver_filesystem::FilesystemConfig;
    use sampan_driver_inmemory::InMemoryDriver;
    use sampan_engine::layout::Entry;
    use sampan_engine::oci::Digest;

    use super::*;

    /// The store has content from now on.
    async fn fill(driver: &Arc<dyn StorageDriver>) {
        let link = Entry::LayerLink("app".parse().unwrap(), Digest::sha256_of(b"layer")).path();
        driver.put_content(&link, "".into(), PutMode::Overwrite).await.unwrap();
    }

    async fn has(driver: &Arc<dyn StorageDriver>, entry: Entry) -> bool {
        driver.exists(&entry.path()).await.unwrap()
    }

    #[tokio::test]
    async fn a_store_with_content_has_an_identifier_and_space_in_reserve() {
        let directory = tempfile::tempdir().unwrap();
        let config = FilesystemConfig { rootdirectory: directory.path().to_owned(), ..Default::default() };
        let driver = config.build().await.unwrap();
        prepare_store(&driver).await;
        assert!(!has(&driver, Entry::StoreId).await, "an empty store may be a disk that is not mounted");
        assert!(!has(&driver, Entry::Reserve).await);
        fill(&driver).await;
        prepare_store(&driver).await;
        assert!(has(&driver, Entry::StoreId).await && has(&driver, Entry::Reserve).await);
        driver.delete(&Entry::Reserve.path()).await.unwrap();
        prepare_store(&driver).await;
        assert!(has(&driver, Entry::Reserve).await, "a deletion took the space, and nothing took its place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_was_empty_at_the_start_is_prepared_while_it_is_served() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let kept = tokio::spawn(keep_store_prepared(Registry::builder(driver.clone()).build()));
        tokio::time::sleep(2 * INTERVAL).await;
        assert!(!has(&driver, Entry::StoreId).await);
        fill(&driver).await;
        tokio::time::sleep(2 * INTERVAL).await;
        assert!(has(&driver, Entry::StoreId).await);
        kept.abort();
    }
}
