//! `Offloaded`: a driver whose operations run outside of the model, where time passes.
//!
//! The model's clock stands still, and advances when all actors wait. Waiting for a server must not advance it: while an
//! operation runs, as a blocking task, the clock stays where it is.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    BoxError, ByteRange, Condition, Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo,
    FileReader, FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use tokio::runtime::Handle;
use url::Url;

use crate::one_by_one::one_by_one;

/// A driver that runs on the runtime that created it.
#[derive(Clone, Debug)]
pub(crate) struct Offloaded {
    inner: Arc<dyn StorageDriver>,
    outside: Handle,
}

impl Offloaded {
    pub(crate) fn new(inner: Arc<dyn StorageDriver>, outside: Handle) -> Self {
        Self { inner, outside }
    }

    /// Runs `operation` on that runtime. Returns an error when it panics.
    async fn run<T, F>(
        &self,
        operation: impl FnOnce(Arc<dyn StorageDriver>) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let inner = self.inner.clone();
        outside(&self.outside, move || operation(inner)).await
    }

    /// Reads a whole stream to its end before it yields the first item.
    fn stream<T: Send + 'static>(
        &self,
        open: impl FnOnce(Arc<dyn StorageDriver>) -> BoxStream<'static, T> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let driver = self.clone();
        let read =
            async move { driver.run(|inner| async { Ok(open(inner).collect::<Vec<T>>().await) }).await };
        stream::once(read).map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }
}

async fn outside<T, F>(outside: &Handle, operation: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let outside = outside.clone();
    let done = tokio::task::spawn_blocking(move || outside.block_on(operation())).await;
    done.unwrap_or_else(|error| {
        let error = DriverError::new(ErrorKind::Other, "model", Operation::Stat, &DriverPath::root())
            .with_source(BoxError::from(error));
        Err(error)
    })
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Offloaded {
    sampan_driver::forward! { self => self.inner;
        name capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let path = path.clone();
        self.run(|inner| async move { inner.get_content(&path).await }).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let path = path.clone();
        self.run(move |inner| async move { inner.put_content(&path, content, mode).await }).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let files = files.to_vec();
        self.run(move |inner| async move { inner.put_all(&files).await }).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let path = path.clone();
        let read = move |inner: Arc<dyn StorageDriver>| async move {
            let reader = inner.reader(&path, range).await?;
            let (size_bytes, range) = (reader.size_bytes(), reader.range());
            let chunks = reader.into_stream().collect::<Vec<_>>().await;
            Ok(FileReader::new(size_bytes, range, stream::iter(chunks).boxed()))
        };
        self.run(read).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let path = path.clone();
        let inner = self.run(|inner| async move { inner.writer(&path, mode).await }).await?;
        Ok(Box::new(OffloadedWriter {
            size: inner.size(),
            note: inner.note(),
            inner: Some(inner),
            outside: self.outside.clone(),
        }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let path = path.clone();
        self.run(|inner| async move { inner.stat(&path).await }).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let (path, after) = (path.clone(), after.map(str::to_owned));
        let listed = self.stream(move |inner| inner.list(&path, after.as_deref()));
        listed.map(|entry| entry.and_then(|entry| entry)).boxed()
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (path, after, holding) = (path.clone(), after.map(str::to_owned), holding.to_owned());
        let listed = self.stream(move |inner| inner.list_holding(&path, after.as_deref(), &holding));
        listed.map(|entry| entry.and_then(|entry| entry)).boxed()
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (path, after) = (path.clone(), after.cloned());
        let walked = self.stream(move |inner| inner.walk(&path, after.as_ref()));
        walked.map(|info| info.and_then(|info| info)).boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.run(|inner| async move { inner.rename(&from, &to).await }).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let path = path.clone();
        self.run(|inner| async move { inner.delete(&path).await }).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let path = path.clone();
        self.run(|inner| async move { inner.delete_tree(&path).await }).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        one_by_one(self.name(), paths, until, move |path| {
            let driver = driver.clone();
            async move { driver.delete(&path).await }
        })
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let paths = paths.to_vec();
        self.run(move |inner| async move { inner.sync_deletions(&paths).await }).await
    }

    async fn check(&self) -> Result<Condition> {
        self.run(|inner| async move { inner.check().await }).await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        let path = path.clone();
        self.run(move |inner| async move { inner.redirect_url(&path, request).await }).await
    }
}

/// A writer that moves to that runtime and back with each operation.
#[derive(Debug)]
struct OffloadedWriter {
    inner: Option<Box<dyn FileWriter>>,
    size: u64,
    note: Option<Bytes>,
    outside: Handle,
}

impl OffloadedWriter {
    /// The writer, unless a caller dropped an operation of it half-way.
    fn take(&mut self) -> Result<Box<dyn FileWriter>> {
        self.inner
            .take()
            .ok_or_else(|| DriverError::new(ErrorKind::Other, "model", Operation::Write, &DriverPath::root()))
    }
}

#[async_trait]
impl FileWriter for OffloadedWriter {
    fn size(&self) -> u64 {
        self.size
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut inner = self.take()?;
        let written = async move {
            inner.write(chunk).await?;
            Ok(inner)
        };
        let inner = outside(&self.outside, || written).await?;
        self.size = inner.size();
        self.inner = Some(inner);
        Ok(())
    }

    fn note(&self) -> Option<Bytes> {
        self.note.clone()
    }

    async fn close(mut self: Box<Self>, note: Bytes) -> Result<u64> {
        let inner = self.take()?;
        outside(&self.outside, || inner.close(note)).await
    }

    async fn commit(mut self: Box<Self>, to: &DriverPath) -> Result<()> {
        let (inner, to) = (self.take()?, to.clone());
        outside(&self.outside, || async move { inner.commit(&to).await }).await
    }

    async fn cancel(mut self: Box<Self>) -> Result<()> {
        let inner = self.take()?;
        outside(&self.outside, || inner.cancel()).await
    }

    async fn revert(mut self: Box<Self>) -> Result<()> {
        let inner = self.take()?;
        outside(&self.outside, || inner.revert()).await
    }
}
