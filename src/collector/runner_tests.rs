//! What ends a collector.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter,
    PutMode, RedirectRequest, StorageDriver, WriteMode,
};
use sampan_driver_inmemory::InMemoryDriver;
use tokio::sync::Notify;
use url::Url;

use super::*;

/// A store that does not answer to a walk.
#[derive(Debug)]
struct Hung {
    inner: InMemoryDriver,
    asked: Arc<Notify>,
}

#[async_trait]
impl StorageDriver for Hung {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get_content(&self, path: &DriverPath) -> sampan_driver::Result<Bytes> {
        self.inner.get_content(path).await
    }

    async fn put_content(
        &self,
        path: &DriverPath,
        content: Bytes,
        mode: PutMode,
    ) -> sampan_driver::Result<()> {
        self.inner.put_content(path, content, mode).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> sampan_driver::Result<FileReader> {
        self.inner.reader(path, range).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> sampan_driver::Result<Box<dyn FileWriter>> {
        self.inner.writer(path, mode).await
    }

    async fn stat(&self, path: &DriverPath) -> sampan_driver::Result<FileInfo> {
        self.inner.stat(path).await
    }

    fn list(
        &self,
        path: &DriverPath,
        after: Option<&str>,
    ) -> BoxStream<'static, sampan_driver::Result<DirEntry>> {
        self.inner.list(path, after)
    }

    fn walk(
        &self,
        _: &DriverPath,
        _: Option<&DriverPath>,
    ) -> BoxStream<'static, sampan_driver::Result<FileInfo>> {
        self.asked.notify_one();
        stream::pending().boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> sampan_driver::Result<()> {
        self.inner.rename(from, to).await
    }

    async fn delete(&self, path: &DriverPath) -> sampan_driver::Result<()> {
        self.inner.delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> sampan_driver::Result<()> {
        self.inner.delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, sampan_driver::Result<()>)> {
        self.inner.delete_all(paths, until)
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> sampan_driver::Result<()> {
        self.inner.sync_deletions(paths).await
    }

    async fn check(&self) -> sampan_driver::Result<Condition> {
        self.inner.check().await
    }

    async fn redirect_url(
        &self,
        path: &DriverPath,
        request: RedirectRequest,
    ) -> sampan_driver::Result<Option<Url>> {
        self.inner.redirect_url(path, request).await
    }
}

#[tokio::test]
async fn a_store_that_hangs_does_not_hold_up_the_end() {
    let asked = Arc::new(Notify::new());
    let driver = Hung { inner: InMemoryDriver::new(), asked: asked.clone() };
    let registry = Registry::builder(Arc::new(driver)).build();
    let settings = Settings {
        schedule: None,
        grace: Duration::from_secs(60),
        delete_untagged: false,
        upload_age: None,
        max_delete_percent: 100,
    };
    let collector = Collector::new(registry, settings);
    collector.request().unwrap();
    let ended = async {
        asked.notified().await;
        collector.end();
    };
    let run = tokio::time::timeout(FAREWELL * 20, collector.run());
    let (run, ()) = tokio::join!(run, ended);
    run.expect("the collector ends although the store does not answer");
    assert_eq!(collector.totals().stopped, 1);
}
