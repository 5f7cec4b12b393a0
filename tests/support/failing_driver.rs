//! `FailingDriver`: a store that misbehaves in one chosen way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, FileReader, FileWriter,
    Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode, put_one_by_one,
};
use sampan_driver_inmemory::InMemoryDriver;
use tokio::sync::Semaphore;
use url::Url;

/// The misbehaviour of a store.
#[derive(Clone, Debug)]
pub(crate) enum Misbehaviour {
    /// Every operation fails with this kind.
    Fails(ErrorKind),
    /// Reading ends after this many bytes without an error.
    EndsAfter(usize),
    /// Reading fails after this many bytes.
    BreaksAfter(usize),
    /// Listing fails after this many entries.
    ListsBreakAfter(usize),
    /// Clients are redirected here for files.
    Redirects(Url),
    /// Reading the link of a tag with this prefix waits for a permit.
    HoldsTags(&'static str, Arc<Held>),
    /// Reading the bytes of a blob or manifest waits for a permit.
    HoldsData(Arc<Held>),
    /// A `stat` panics.
    Panics,
    /// It behaves, and counts the operations for which the function is true.
    Counts(fn(Operation, &DriverPath) -> bool, Arc<AtomicUsize>),
    /// Every operation takes this long.
    Slow(Duration),
    /// Every write finds the store full.
    IsFull,
    /// Writing a small file never ends.
    HoldsPuts,
    /// Every end of a writer except `close` fails and loses the staged bytes, as on a failing disk.
    LosesStaged,
}

/// The reads that a store holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) permits: Semaphore,
    begun: AtomicUsize,
}

impl Held {
    /// Without a permit.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(0), begun: AtomicUsize::new(0) })
    }

    /// The number of reads that have begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    async fn hold(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.permits.acquire().await.unwrap().forget();
    }

    /// Waits for the first read.
    pub(crate) async fn reached(&self) {
        while self.begun() == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A store in memory that misbehaves on demand.
#[derive(Clone, Debug)]
pub(crate) struct FailingDriver {
    inner: Arc<InMemoryDriver>,
    misbehaviour: Arc<Mutex<Option<Misbehaviour>>>,
}

impl FailingDriver {
    fn misbehaving_list(
        &self,
        path: &DriverPath,
        list: BoxStream<'static, Result<DirEntry>>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        if let Some(Misbehaviour::ListsBreakAfter(entries)) = self.misbehaviour() {
            let error = DriverError::new(ErrorKind::Unavailable, "odd", Operation::List, path);
            return list.take(entries).chain(stream::iter([Err(error)])).boxed();
        }
        match self.check(Operation::List, path) {
            Ok(()) => list,
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(InMemoryDriver::new()), misbehaviour: Arc::default() }
    }

    /// Misbehaves from now on.
    pub(crate) fn be(&self, misbehaviour: Misbehaviour) {
        *self.misbehaviour.lock().unwrap() = Some(misbehaviour);
    }

    /// Behaves from now on.
    pub(crate) fn behave(&self) {
        *self.misbehaviour.lock().unwrap() = None;
    }

    fn misbehaviour(&self) -> Option<Misbehaviour> {
        self.misbehaviour.lock().unwrap().clone()
    }

    fn check(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        match self.misbehaviour() {
            Some(Misbehaviour::Fails(kind)) => {
                Err(DriverError::new(kind, "odd", operation, path).with_source("the secret cause"))
            }
            Some(Misbehaviour::IsFull) if matches!(operation, Operation::PutContent | Operation::Writer) => {
                Err(DriverError::new(ErrorKind::StorageFull, "odd", operation, path))
            }
            Some(Misbehaviour::Panics) => panic!("odd driver"),
            Some(Misbehaviour::Counts(counted, count)) if counted(operation, path) => {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Some(Misbehaviour::Slow(duration)) => {
                // Shorter than a timer can be.
                let begun = Instant::now();
                while begun.elapsed() < duration {}
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for FailingDriver {
    sampan_driver::forward! { self => self.inner;
        walk rename delete delete_tree delete_all sync_deletions check
    }

    fn name(&self) -> &'static str {
        "odd"
    }

    fn capabilities(&self) -> Capabilities {
        let redirect = matches!(self.misbehaviour(), Some(Misbehaviour::Redirects(_)));
        Capabilities { redirect, ..self.inner.capabilities() }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.check(Operation::GetContent, path)?;
        if let Some(Misbehaviour::HoldsTags(tags, held)) = self.misbehaviour()
            && path.as_str().contains(&format!("/_manifests/tags/{tags}"))
        {
            held.hold().await;
        }
        if let Some(Misbehaviour::HoldsData(held)) = self.misbehaviour()
            && path.as_str().contains("/blobs/")
        {
            held.hold().await;
        }
        self.inner.get_content(path).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.check(Operation::PutContent, path)?;
        if let Some(Misbehaviour::HoldsPuts) = self.misbehaviour() {
            std::future::pending::<()>().await;
        }
        self.inner.put_content(path, content, mode).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        put_one_by_one(self, files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.check(Operation::Reader, path)?;
        let reader = self.inner.reader(path, range).await?;
        let (size_bytes, range) = (reader.size_bytes(), reader.range());
        let (len, last) = match self.misbehaviour() {
            Some(Misbehaviour::EndsAfter(len)) => (len, None),
            Some(Misbehaviour::BreaksAfter(len)) => {
                (len, Some(Err(DriverError::new(ErrorKind::Other, "odd", Operation::Read, path))))
            }
            Some(Misbehaviour::HoldsData(held)) => {
                let read = async move {
                    held.hold().await;
                    Ok(reader.into_stream())
                };
                let held = stream::once(read).try_flatten().boxed();
                return Ok(FileReader::new(size_bytes, range, held));
            }
            _ => return Ok(reader),
        };
        let bytes = self.inner.get_content(path).await?;
        let chunks = [Ok(bytes.slice(..len))].into_iter().chain(last);
        Ok(FileReader::new(size_bytes, range, stream::iter(chunks.collect::<Vec<_>>()).boxed()))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        self.check(Operation::Writer, path)?;
        let inner = self.inner.writer(path, mode).await?;
        match self.misbehaviour() {
            Some(Misbehaviour::LosesStaged) => Ok(Box::new(LosingWriter(inner))),
            _ => Ok(inner),
        }
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.check(Operation::Stat, path)?;
        self.inner.stat(path).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.misbehaving_list(path, self.inner.list(path, after))
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.misbehaving_list(path, self.inner.list_holding(path, after, holding))
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        match self.misbehaviour() {
            Some(Misbehaviour::Redirects(url)) => Ok(Some(url)),
            _ => self.inner.redirect_url(path, request).await,
        }
    }
}

#[derive(Debug)]
struct LosingWriter(Box<dyn FileWriter>);

#[async_trait]
impl FileWriter for LosingWriter {
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
        self.0.cancel().await?;
        Err(DriverError::new(ErrorKind::Other, "odd", Operation::Commit, to))
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.0.cancel().await?;
        Err(DriverError::new(ErrorKind::Other, "odd", Operation::Cancel, &DriverPath::root()))
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.cancel().await
    }
}
