//! How many changes each request of a push makes: a store with transactions waits for the disk as often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use sampan_conformance::first_push;
use sampan_driver::{
    Deadline, DriverConfig, DriverPath, FileWriter, PutMode, Result, StorageDriver, WriteMode, forward,
};
use sampan_driver_inmemory::InMemoryConfig;

/// A driver that counts the calls that change its store.
#[derive(Clone, Debug)]
struct Counting {
    inner: Arc<dyn StorageDriver>,
    changes: Arc<AtomicUsize>,
}

impl Counting {
    fn count(&self) -> &dyn StorageDriver {
        self.changes.fetch_add(1, Ordering::Relaxed);
        &*self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Counting {
    forward! { self => self.inner;
        name capabilities get_content reader stat list list_holding walk sync_deletions check redirect_url
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.count().put_content(path, content, mode).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        self.count().put_all(files).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.inner.writer(path, mode).await?;
        Ok(Box::new(CountingWriter { inner, driver: self.clone() }))
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.count().rename(from, to).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.count().delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.count().delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        self.count().delete_all(paths, until)
    }
}

#[derive(Debug)]
struct CountingWriter {
    inner: Box<dyn FileWriter>,
    driver: Counting,
}

#[async_trait]
impl FileWriter for CountingWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.driver.count();
        self.inner.close(note).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.driver.count();
        self.inner.commit(to).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.driver.count();
        self.inner.cancel().await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.inner.revert().await
    }
}

#[tokio::test]
async fn the_links_of_a_request_are_one_change() {
    let inner = InMemoryConfig::default().build().await.unwrap();
    let driver = Counting { inner, changes: Arc::default() };
    let mut changes = Vec::new();
    let counted = driver.changes.clone();
    let note = |request: &'static str| changes.push((request, counted.swap(0, Ordering::Relaxed)));
    first_push(Arc::new(driver), note).await.unwrap();
    let expected = [
        ("POST, first of the store", 1),
        ("PATCH", 1),
        ("PUT blob, first of the store", 3),
        ("POST and PUT blob, second of the repository", 4),
        // Data and link of the manifest; the links of the tag.
        ("PUT manifest, first of the repository", 2),
        ("PUT manifest, the same again", 2),
        ("PUT manifest, another tag", 2),
        ("mount, first of a repository", 1),
        ("DELETE tag", 5),
        ("DELETE manifest with one tag", 8),
        ("PUT manifest with three further tags", 2),
    ];
    assert_eq!(changes, expected);
}
