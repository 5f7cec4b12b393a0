//! `Faulty`: a driver that fails at a chosen operation. A test that tries every number shows what each crash leaves behind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Condition, Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, FileReader,
    FileWriter, Operation, PutMode, RedirectRequest, Result, StagedView, StorageDriver, WriteMode,
    put_one_by_one,
};
use url::Url;

use crate::one_by_one::one_by_one;

/// How an operation fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The operation and all later ones do nothing: the process or the machine dies before it.
    CrashBefore,
    /// The operation takes effect but returns an error, and all later ones do nothing: the process dies right after it.
    CrashAfter,
    /// Only this operation does nothing: the store was briefly overloaded.
    Once,
    /// Only this operation takes effect but returns an error: the answer was lost.
    OnceAfter,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 4] = [Self::CrashBefore, Self::CrashAfter, Self::Once, Self::OnceAfter];
}

/// A driver whose n-th operation fails.
///
/// Operations are the calls of `StorageDriver` and of the writers, and the first chunk of a reader.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<dyn StorageDriver>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    fails_at: u64,
    begun: AtomicU64,
}

/// The effect and the result of an operation.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Fate {
    Done,
    DoneUntold,
    NotDone,
}

impl Faulty {
    /// Makes the operation number `fails_at` (the first is 1) of `inner` fail.
    pub fn new(inner: Arc<dyn StorageDriver>, fault: Fault, fails_at: u64) -> Self {
        Self { inner, plan: Arc::new(Plan { fault, fails_at, begun: AtomicU64::new(0) }) }
    }

    /// Whether the failing operation was reached.
    pub fn has_failed(&self) -> bool {
        self.plan.begun.load(Ordering::SeqCst) >= self.plan.fails_at
    }

    async fn attempt<T>(
        &self,
        operation: Operation,
        path: &DriverPath,
        doing: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.plan.attempt(self.inner.name(), operation, path, doing).await
    }

    fn attempt_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        match self.plan.fate() {
            Fate::Done => stream,
            Fate::DoneUntold | Fate::NotDone => {
                let error = failure(self.inner.name(), operation, path);
                stream::once(std::future::ready(Err(error))).boxed()
            }
        }
    }
}

impl Plan {
    fn fate(&self) -> Fate {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fault {
            _ if number < self.fails_at => Fate::Done,
            Fault::CrashBefore => Fate::NotDone,
            Fault::Once if number == self.fails_at => Fate::NotDone,
            Fault::CrashAfter | Fault::OnceAfter if number == self.fails_at => Fate::DoneUntold,
            Fault::CrashAfter => Fate::NotDone,
            Fault::Once | Fault::OnceAfter => Fate::Done,
        }
    }

    async fn attempt<T>(
        &self,
        driver: &'static str,
        operation: Operation,
        path: &DriverPath,
        doing: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.fate() {
            Fate::Done => doing.await,
            Fate::DoneUntold => {
                doing.await?;
                Err(failure(driver, operation, path))
            }
            Fate::NotDone => Err(failure(driver, operation, path)),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Faulty {
    sampan_driver::forward! { self => self.inner;
        name capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.attempt(Operation::GetContent, path, self.inner.get_content(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.attempt(Operation::PutContent, path, self.inner.put_content(path, content, mode)).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        put_one_by_one(self, files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let reader = self.attempt(Operation::Reader, path, self.inner.reader(path, range)).await?;
        let (size, range) = (reader.size_bytes(), reader.range());
        let (driver, path) = (self.clone(), path.clone());
        let stream = stream::once(async move {
            let stream = reader.into_stream();
            driver.attempt(Operation::Read, &path, std::future::ready(Ok(stream))).await
        });
        Ok(FileReader::new(size, range, stream.try_flatten().boxed()))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.attempt(Operation::Writer, path, self.inner.writer(path, mode)).await?;
        Ok(Box::new(FaultyWriter {
            inner,
            driver: self.inner.name(),
            plan: self.plan.clone(),
            path: path.clone(),
        }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.attempt(Operation::Stat, path, self.inner.stat(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.attempt_stream(Operation::List, path, self.inner.list(path, after))
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.attempt_stream(Operation::List, path, self.inner.list_holding(path, after, holding))
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        self.attempt_stream(Operation::Walk, path, self.inner.walk(path, after))
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.attempt(Operation::Rename, from, self.inner.rename(from, to)).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.attempt(Operation::Delete, path, self.inner.delete(path)).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.attempt(Operation::DeleteTree, path, self.inner.delete_tree(path)).await
    }

    /// Each path counts as one operation.
    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        one_by_one(self.name(), paths, until, move |path| {
            let driver = driver.clone();
            async move { driver.attempt(Operation::DeleteAll, &path, driver.inner.delete(&path)).await }
        })
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let path = paths.first().cloned().unwrap_or_else(DriverPath::root);
        self.attempt(Operation::SyncDeletions, &path, self.inner.sync_deletions(paths)).await
    }

    async fn check(&self) -> Result<Condition> {
        self.attempt(Operation::Check, &DriverPath::root(), self.inner.check()).await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.attempt(Operation::RedirectUrl, path, self.inner.redirect_url(path, request)).await
    }
}

struct FaultyWriter {
    inner: Box<dyn FileWriter>,
    driver: &'static str,
    plan: Arc<Plan>,
    path: DriverPath,
}

#[async_trait]
impl FileWriter for FaultyWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.plan.attempt(self.driver, Operation::Write, &self.path, self.inner.write(chunk)).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.plan.attempt(self.driver, Operation::Write, &self.path, self.inner.flush()).await
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        self.inner.view()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.plan.attempt(self.driver, Operation::Close, &self.path, self.inner.close(note)).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.plan.attempt(self.driver, Operation::Commit, &self.path, self.inner.commit(to)).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.plan.attempt(self.driver, Operation::Cancel, &self.path, self.inner.cancel()).await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.plan.attempt(self.driver, Operation::Revert, &self.path, self.inner.revert()).await
    }
}

impl fmt::Debug for FaultyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyWriter").field("inner", &self.inner).finish_non_exhaustive()
    }
}

fn failure(driver: &'static str, operation: Operation, path: &DriverPath) -> DriverError {
    DriverError::new(ErrorKind::Unavailable, driver, operation, path).with_source("this failure was planned")
}
