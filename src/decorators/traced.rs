//! `Traced`: a driver wrapper that opens a span per call.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sampan_driver::{
    ByteRange, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter, PutMode,
    RedirectRequest, Result, StagedView, StorageDriver, WriteMode,
};
use tracing::{Instrument, Span};
use url::Url;

use crate::telemetry::traces::TARGET;

/// A driver wrapper that opens a span per call.
///
/// The span of a reader, a listing or a walk lasts until its stream is dropped; for a local file, a reader's
/// span ends when the file is open. A writer's close, commit, cancel and revert have spans, its writes do
/// not.
#[derive(Debug)]
pub struct Traced {
    inner: Arc<dyn StorageDriver>,
}

macro_rules! span {
    ($name:literal, $driver:expr, $path:expr) => {
        tracing::trace_span!(
            target: TARGET,
            $name,
            otel.kind = "client",
            storage.driver = $driver.name(),
            storage.path = %$path,
            otel.status_code = tracing::field::Empty,
            otel.status_description = tracing::field::Empty,
        )
    };
}

impl Traced {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn StorageDriver>) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Traced {
    sampan_driver::forward! { self => self.inner;
        name capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        within(&span!("driver.get_content", self, path), self.inner.get_content(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        within(&span!("driver.put_content", self, path), self.inner.put_content(path, content, mode)).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let Some((first, _)) = files.first() else { return Ok(()) };
        within(&span!("driver.put_all", self, first), self.inner.put_all(files)).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let span = span!("driver.reader", self, path);
        let reader = within(&span, self.inner.reader(path, range)).await?;
        if reader.file().is_some() {
            return Ok(reader);
        }
        let (size, range) = (reader.size_bytes(), reader.range());
        Ok(FileReader::new(size, range, during(span, reader.into_stream())))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = within(&span!("driver.writer", self, path), self.inner.writer(path, mode)).await?;
        Ok(Box::new(TracedWriter { inner, path: path.clone(), driver: self.inner.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        within(&span!("driver.stat", self, path), self.inner.stat(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let span = span!("driver.list", self, path);
        let stream = span.in_scope(|| self.inner.list(path, after));
        during(span, stream)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let span = span!("driver.list", self, path);
        let stream = span.in_scope(|| self.inner.list_holding(path, after, holding));
        during(span, stream)
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let span = span!("driver.walk", self, path);
        let stream = span.in_scope(|| self.inner.walk(path, after));
        during(span, stream)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        within(&span!("driver.rename", self, to), self.inner.rename(from, to)).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        within(&span!("driver.delete", self, path), self.inner.delete(path)).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        within(&span!("driver.delete_tree", self, path), self.inner.delete_tree(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let span = span!("driver.delete_all", self, "");
        let stream = span.in_scope(|| self.inner.delete_all(paths, until));
        during(span, stream)
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        within(&span!("driver.sync_deletions", self, ""), self.inner.sync_deletions(paths)).await
    }

    async fn check(&self) -> Result<Condition> {
        within(&span!("driver.check", self, ""), self.inner.check()).await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        within(&span!("driver.redirect_url", self, path), self.inner.redirect_url(path, request)).await
    }
}

#[derive(Debug)]
struct TracedWriter {
    inner: Box<dyn FileWriter>,
    path: DriverPath,
    driver: Arc<dyn StorageDriver>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FileWriter for TracedWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.inner.flush().await
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        self.inner.view()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        within(&span!("driver.writer.close", self.driver, self.path), self.inner.close(note)).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        within(&span!("driver.writer.commit", self.driver, to), self.inner.commit(to)).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        within(&span!("driver.writer.cancel", self.driver, self.path), self.inner.cancel()).await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        within(&span!("driver.writer.revert", self.driver, self.path), self.inner.revert()).await
    }
}

/// Awaits within the span, and records an error. A missing file is a result, not an error.
async fn within<T>(span: &Span, call: impl Future<Output = Result<T>>) -> Result<T> {
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result
        && !error.is_not_found()
    {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", tracing::field::display(error));
    }
    result
}

/// Keeps the span open as long as the stream.
fn during<T: Send + 'static>(span: Span, stream: BoxStream<'static, T>) -> BoxStream<'static, T> {
    stream
        .inspect(move |_| {
            let _ = &span;
        })
        .boxed()
}
