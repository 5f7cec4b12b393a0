//! `DatedDriver`: a store whose files are dated by a clock that a test moves on, and that says when it works.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{Deadline, DriverPath, FileInfo, PutMode, Result, StorageDriver};
use sampan_engine::Clock;

/// The machine's time and what the test adds to it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreTime {
    added: Arc<Mutex<Vec<Added>>>,
    /// The operations that change or walk the store at this moment.
    working: Arc<AtomicUsize>,
}

/// An operation of the store, until it is dropped.
#[derive(Debug)]
struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// From a moment of the machine's clock on, so much is added in all.
#[derive(Clone, Copy, Debug)]
struct Added {
    since: SystemTime,
    all: Duration,
}

impl StoreTime {
    /// Moves on.
    pub(crate) fn add(&self, duration: Duration) {
        let mut added = self.added.lock().unwrap();
        let all = added.last().map(|added| added.all).unwrap_or_default() + duration;
        added.push(Added { since: SystemTime::now(), all });
    }

    /// Whether the store changes or walks files. A busy machine may need a second for a file, in which no minutes may pass: an
    /// operation has bounds, by this clock.
    pub(crate) fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed) > 0
    }

    /// The store works while the next item is not there.
    fn works_for<T: 'static>(&self, mut items: BoxStream<'static, T>) -> BoxStream<'static, T> {
        let (time, mut working) = (self.clone(), Vec::new());
        let next = move |context: &mut Context<'_>| {
            let polled = items.poll_next_unpin(context);
            working.clear();
            working.extend(polled.is_pending().then(|| time.work()));
            polled
        };
        stream::poll_fn(next).boxed()
    }

    fn work(&self) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(self.working.clone())
    }

    /// A clock that shows this time.
    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.at(SystemTime::now()))
    }

    /// What this clock showed when the machine's showed that.
    fn at(&self, machine: SystemTime) -> SystemTime {
        let added = self.added.lock().unwrap();
        let before = added.partition_point(|added| added.since <= machine);
        machine + before.checked_sub(1).map(|last| added[last].all).unwrap_or_default()
    }
}

/// A store with the dates of a [`StoreTime`].
#[derive(Clone, Debug)]
pub(crate) struct DatedDriver {
    inner: Arc<dyn StorageDriver>,
    time: StoreTime,
    pause: Duration,
}

impl DatedDriver {
    /// Walks end with a pause, by the clock of the runtime.
    pub(crate) fn new(inner: Arc<dyn StorageDriver>, time: StoreTime, pause: Duration) -> Self {
        Self { inner, time, pause }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for DatedDriver {
    sampan_driver::forward! { self => self.inner;
        name capabilities get_content reader writer list list_holding check redirect_url
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let _working = self.time.work();
        self.inner.put_content(path, content, mode).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let _working = self.time.work();
        self.inner.put_all(files).await
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let _working = self.time.work();
        self.inner.rename(from, to).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let _working = self.time.work();
        self.inner.delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let _working = self.time.work();
        self.inner.delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        self.time.works_for(self.inner.delete_all(paths, until))
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let _working = self.time.work();
        self.inner.sync_deletions(paths).await
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let info = self.inner.stat(path).await?;
        Ok(FileInfo { modified: self.time.at(info.modified), ..info })
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let time = self.time.clone();
        let dated = self
            .time
            .works_for(self.inner.walk(path, after))
            .map_ok(move |info| FileInfo { modified: time.at(info.modified), ..info });
        // Until what was seen is acted on, time passes.
        let pause = stream::once(tokio::time::sleep(self.pause)).filter_map(|()| std::future::ready(None));
        dated.chain(pause).boxed()
    }
}
