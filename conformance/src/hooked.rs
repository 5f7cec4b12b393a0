//! `Hooked`: a driver that calls a hook before each operation.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter, Operation,
    PutMode, RedirectRequest, Result, StagedView, StorageDriver, WriteMode, put_one_by_one,
};
use url::Url;

/// An action before each operation.
#[async_trait]
pub(crate) trait Hook: fmt::Debug + Send + Sync + 'static {
    /// Whether `put_all` puts one file after the other, each with the hook before it, as a store without transactions does;
    /// else the hook runs once, before all of them.
    const SPLITS_PUT_ALL: bool;

    /// Runs before `operation` on `path` begins, inside the future or stream that the driver returns.
    async fn before(&self, operation: Operation, path: &DriverPath) -> Result<()>;
}

/// A driver that calls a hook before each operation.
#[derive(Debug)]
pub(crate) struct Hooked<H> {
    inner: Arc<dyn StorageDriver>,
    hook: Arc<H>,
}

impl<H: Hook> Hooked<H> {
    pub(crate) fn new(inner: Arc<dyn StorageDriver>, hook: Arc<H>) -> Self {
        Self { inner, hook }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<H: Hook> StorageDriver for Hooked<H> {
    sampan_driver::forward! { self => self.inner;
        name capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.hook.before(Operation::GetContent, path).await?;
        self.inner.get_content(path).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.hook.before(Operation::PutContent, path).await?;
        self.inner.put_content(path, content, mode).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        if H::SPLITS_PUT_ALL {
            return put_one_by_one(self, files).await;
        }
        let root = DriverPath::root();
        let first = files.first().map_or(&root, |(first, _)| first);
        self.hook.before(Operation::PutAll, first).await?;
        self.inner.put_all(files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.hook.before(Operation::Reader, path).await?;
        self.inner.reader(path, range).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        self.hook.before(Operation::Writer, path).await?;
        let inner = self.inner.writer(path, mode).await?;
        Ok(Box::new(HookedWriter { inner, hook: self.hook.clone(), path: path.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.hook.before(Operation::Stat, path).await?;
        self.inner.stat(path).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let (inner, hook, path) = (self.inner.clone(), self.hook.clone(), path.clone());
        let after = after.map(str::to_owned);
        let begin = async move {
            hook.before(Operation::List, &path).await?;
            Ok(inner.list(&path, after.as_deref()))
        };
        stream::once(begin).try_flatten().boxed()
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (inner, hook, path) = (self.inner.clone(), self.hook.clone(), path.clone());
        let (after, holding) = (after.map(str::to_owned), holding.to_owned());
        let begin = async move {
            hook.before(Operation::List, &path).await?;
            Ok(inner.list_holding(&path, after.as_deref(), &holding))
        };
        stream::once(begin).try_flatten().boxed()
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (inner, hook, path) = (self.inner.clone(), self.hook.clone(), path.clone());
        let after = after.cloned();
        let begin = async move {
            hook.before(Operation::Walk, &path).await?;
            Ok(inner.walk(&path, after.as_ref()))
        };
        stream::once(begin).try_flatten().boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.hook.before(Operation::Rename, from).await?;
        self.inner.rename(from, to).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.hook.before(Operation::Delete, path).await?;
        self.inner.delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.hook.before(Operation::DeleteTree, path).await?;
        self.inner.delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let (inner, hook) = (self.inner.clone(), self.hook.clone());
        let begin = async move {
            // The stream can report failures only per path; the next operation reports this one as well.
            let _ = hook.before(Operation::DeleteAll, &DriverPath::root()).await;
            inner.delete_all(paths, until)
        };
        stream::once(begin).flatten().boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        self.hook.before(Operation::SyncDeletions, paths.first().unwrap_or(&DriverPath::root())).await?;
        self.inner.sync_deletions(paths).await
    }

    async fn check(&self) -> Result<Condition> {
        self.hook.before(Operation::Check, &DriverPath::root()).await?;
        self.inner.check().await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.hook.before(Operation::RedirectUrl, path).await?;
        self.inner.redirect_url(path, request).await
    }
}

#[derive(Debug)]
struct HookedWriter<H> {
    inner: Box<dyn FileWriter>,
    hook: Arc<H>,
    path: DriverPath,
}

#[async_trait]
impl<H: Hook> FileWriter for HookedWriter<H> {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.hook.before(Operation::Write, &self.path).await?;
        self.inner.write(chunk).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.hook.before(Operation::Write, &self.path).await?;
        self.inner.flush().await
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        self.inner.view()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.hook.before(Operation::Close, &self.path).await?;
        self.inner.close(note).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.hook.before(Operation::Commit, &self.path).await?;
        self.inner.commit(to).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.hook.before(Operation::Cancel, &self.path).await?;
        self.inner.cancel().await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.hook.before(Operation::Revert, &self.path).await?;
        self.inner.revert().await
    }
}
