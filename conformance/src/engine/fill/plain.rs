//! `Plain`: a driver whose staged files have no views.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, Result, StorageDriver, WriteMode};

/// A driver whose staged files have no views.
#[derive(Debug)]
pub(super) struct Plain(Arc<dyn StorageDriver>);

/// The driver, and the same without views.
pub(super) fn with_and_without_views(driver: &Arc<dyn StorageDriver>) -> [Arc<dyn StorageDriver>; 2] {
    [driver.clone(), plain(driver)]
}

pub(super) fn plain(driver: &Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> {
    Arc::new(Plain(driver.clone()))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Plain {
    sampan_driver::forward! { self => self.0;
        name capabilities get_content put_content put_all reader stat list list_holding walk rename delete
        delete_tree delete_all sync_deletions check redirect_url
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        Ok(Box::new(PlainWriter(self.0.writer(path, mode).await?)))
    }
}

#[derive(Debug)]
struct PlainWriter(Box<dyn FileWriter>);

#[async_trait]
impl FileWriter for PlainWriter {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn note(&self) -> Option<Bytes> {
        self.0.note()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.0.write(chunk).await
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.0.close(note).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.0.commit(to).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.0.cancel().await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.0.revert().await
    }
}
