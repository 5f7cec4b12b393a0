//! `Slow`: a driver with delays: drawn from a seed, with a few failures; or long ones for some operations.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::{
    ByteRange, Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, FileReader, FileWriter,
    Operation, PutMode, Result, StorageDriver, WriteMode, put_one_by_one,
};
use sampan_engine::layout::Entry;

use crate::one_by_one::one_by_one;

/// The driver of one process. Time is that of the runtime, which stops while work is done.
#[derive(Clone)]
pub(crate) struct Slow {
    inner: Arc<dyn StorageDriver>,
    chance: Arc<Chance>,
}

/// The state that all processes over a store share.
pub(crate) struct Chance {
    delays: Delays,
    /// How many operations may still fail.
    failures: AtomicU32,
    /// Serializes operations, so that a seed always gives the same order.
    turn: tokio::sync::Mutex<()>,
}

/// How long operations take.
enum Delays {
    /// Random delays. The lock is held to draw a number.
    ByLot(Box<Mutex<StdRng>>),
    /// Writing a link to a manifest takes this long; every other operation is immediate.
    Links(Duration),
}

/// The effect and the result of an operation.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Fate {
    Done,
    NotDone,
    DoneUntold,
}

impl Chance {
    /// Random delays, and this number of failures.
    pub(crate) fn new(rng: StdRng, failures: u32) -> Arc<Self> {
        let (delays, failures) = (Delays::ByLot(Box::new(Mutex::new(rng))), AtomicU32::new(failures));
        Arc::new(Self { delays, failures, turn: tokio::sync::Mutex::default() })
    }

    /// Writing the link of a manifest takes this long.
    pub(crate) fn slow_links(duration: Duration) -> Arc<Self> {
        let (delays, failures) = (Delays::Links(duration), AtomicU32::new(0));
        Arc::new(Self { delays, failures, turn: tokio::sync::Mutex::default() })
    }

    /// Most operations are fast, some are slow.
    pub(crate) async fn pause(&self) {
        let Delays::ByLot(rng) = &self.delays else { return };
        let duration = {
            let mut rng = rng.lock();
            let most_ms = match rng.random_range(0..100) {
                0..70 => 4,
                70..96 => 40,
                _ => 400,
            };
            Duration::from_millis(rng.random_range(0..most_ms))
        };
        tokio::time::sleep(duration).await;
    }

    async fn pause_before(&self, operation: Operation, path: &DriverPath) {
        match self.delays {
            Delays::ByLot(_) => self.pause().await,
            Delays::Links(duration) => {
                let is_link = matches!(Entry::parse(path), Some(Entry::RevisionLink(..)));
                if operation == Operation::PutContent && is_link {
                    tokio::time::sleep(duration).await;
                }
            }
        }
    }

    fn fate(&self) -> Fate {
        let Delays::ByLot(rng) = &self.delays else { return Fate::Done };
        let mut rng = rng.lock();
        let left = self.failures.load(Ordering::Relaxed);
        if left == 0 || !rng.random_bool(0.02) {
            return Fate::Done;
        }
        self.failures.store(left - 1, Ordering::Relaxed);
        if rng.random_bool(0.5) { Fate::NotDone } else { Fate::DoneUntold }
    }
}

impl Slow {
    /// Another driver over the same store.
    pub(crate) fn new(inner: Arc<dyn StorageDriver>, chance: Arc<Chance>) -> Self {
        Self { inner, chance }
    }

    async fn attempt<T>(
        &self,
        operation: Operation,
        path: &DriverPath,
        doing: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.chance.pause_before(operation, path).await;
        let failure = || DriverError::new(ErrorKind::Unavailable, self.inner.name(), operation, path);
        let turn = self.chance.turn.lock().await;
        let done = match self.chance.fate() {
            Fate::NotDone => Err(failure()),
            Fate::Done => doing.await,
            Fate::DoneUntold => doing.await.and_then(|_| Err(failure())),
        };
        drop(turn);
        self.chance.pause().await;
        done
    }

    /// A stream whose items are read at once.
    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        path: DriverPath,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let driver = self.clone();
        let read = async move {
            let items = driver.attempt(operation, &path, stream.try_collect::<Vec<T>>()).await?;
            Ok(stream::iter(items.into_iter().map(Ok)))
        };
        stream::once(read).try_flatten().boxed()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Slow {
    sampan_driver::forward! { self => self.inner;
        name capabilities check redirect_url
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
        self.attempt(Operation::Reader, path, self.inner.reader(path, range)).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        self.attempt(Operation::Writer, path, self.inner.writer(path, mode)).await
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.attempt(Operation::Stat, path, self.inner.stat(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        // The store is read when the stream is polled.
        let (inner, at, after) = (self.inner.clone(), path.clone(), after.map(str::to_owned));
        let list = stream::once(async move { inner.list(&at, after.as_deref()) }).flatten().boxed();
        self.stream(Operation::List, path.clone(), list)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        // The store is read when the stream is polled.
        let (inner, at, after) = (self.inner.clone(), path.clone(), after.map(str::to_owned));
        let holding = holding.to_owned();
        let list = stream::once(async move { inner.list_holding(&at, after.as_deref(), &holding) });
        self.stream(Operation::List, path.clone(), list.flatten().boxed())
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (inner, at, after) = (self.inner.clone(), path.clone(), after.cloned());
        let walk = stream::once(async move { inner.walk(&at, after.as_ref()) }).flatten().boxed();
        self.stream(Operation::Walk, path.clone(), walk)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.attempt(Operation::Rename, from, self.inner.rename(from, to)).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.attempt(Operation::Delete, path, self.inner.delete(path)).await
    }

    /// Deletes the files of the tree one after the other.
    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let files: Vec<FileInfo> = self.inner.walk(path, None).try_collect().await?;
        for file in files.into_iter().rev() {
            self.delete(&file.path).await?;
        }
        self.attempt(Operation::DeleteTree, path, self.inner.delete_tree(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        one_by_one(self.name(), paths, until, move |path| {
            let driver = driver.clone();
            async move {
                let mut done = driver.inner.delete_all(stream::iter([path.clone()]).boxed(), Deadline::NONE);
                let deleting = async move { done.next().await.map_or(Ok(()), |(_, result)| result) };
                driver.attempt(Operation::DeleteAll, &path, deleting).await
            }
        })
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let path = paths.first().cloned().unwrap_or_else(DriverPath::root);
        self.attempt(Operation::SyncDeletions, &path, self.inner.sync_deletions(paths)).await
    }
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slow").field(&self.inner).finish()
    }
}
