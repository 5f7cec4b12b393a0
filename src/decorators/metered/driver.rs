//! `Metered`: a driver wrapper that times every call.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sampan_driver::{
    ByteRange, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter, PutMode,
    RedirectRequest, Result, StorageDriver, WriteMode,
};
use url::Url;

use super::action::Action;
use super::metrics::DriverMetrics;
use super::stream::TimedStream;
use super::writer::MeteredWriter;

/// A driver wrapper that times every call.
#[derive(Clone, Debug)]
pub struct Metered<D> {
    inner: D,
    metrics: Arc<DriverMetrics>,
}

impl<D: StorageDriver> Metered<D> {
    /// Wraps `inner` and records its calls in `metrics`.
    pub fn new(inner: D, metrics: Arc<DriverMetrics>) -> Self {
        Self { inner, metrics }
    }

    async fn time<T>(&self, action: Action, call: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let result = call.await;
        self.metrics.took(action, begun.elapsed(), &result);
        result
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: StorageDriver> StorageDriver for Metered<D> {
    sampan_driver::forward! { self => self.inner;
        name capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.time(Action::GetContent, self.inner.get_content(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.metrics.wrote(content.len());
        self.time(Action::PutContent, self.inner.put_content(path, content, mode)).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        self.metrics.wrote(files.iter().map(|(_, content)| content.len()).sum());
        self.time(Action::PutAll, self.inner.put_all(files)).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.time(Action::Reader, self.inner.reader(path, range)).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.time(Action::Writer, self.inner.writer(path, mode)).await?;
        Ok(Box::new(MeteredWriter::new(inner, Arc::clone(&self.metrics))))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.time(Action::Stat, self.inner.stat(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        TimedStream::new(Action::List, self.inner.list(path, after), Arc::clone(&self.metrics)).boxed()
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let list = self.inner.list_holding(path, after, holding);
        TimedStream::new(Action::List, list, Arc::clone(&self.metrics)).boxed()
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        TimedStream::new(Action::Walk, self.inner.walk(path, after), Arc::clone(&self.metrics)).boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.time(Action::Move, self.inner.rename(from, to)).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.time(Action::Delete, self.inner.delete(path)).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.time(Action::Delete, self.inner.delete_tree(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        TimedStream::new(Action::Delete, self.inner.delete_all(paths, until), Arc::clone(&self.metrics))
            .boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        self.time(Action::Delete, self.inner.sync_deletions(paths)).await
    }

    async fn check(&self) -> Result<Condition> {
        self.time(Action::Stat, self.inner.check()).await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.time(Action::RedirectUrl, self.inner.redirect_url(path, request)).await
    }
}
