//! `DatedDriver`: a store whose files are dated by a clock that a test moves on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DriverPath, FileInfo, Result, StorageDriver};
use sampan_engine::Clock;

/// The machine's time and what the test adds to it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreTime(Arc<Mutex<Vec<Added>>>);

/// From a moment of the machine's clock on, so much is added in all.
#[derive(Clone, Copy, Debug)]
struct Added {
    since: SystemTime,
    all: Duration,
}

impl StoreTime {
    /// Moves on.
    pub(crate) fn add(&self, duration: Duration) {
        let mut added = self.0.lock().unwrap();
        let all = added.last().map(|added| added.all).unwrap_or_default() + duration;
        added.push(Added { since: SystemTime::now(), all });
    }

    /// A clock that shows this time.
    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.at(SystemTime::now()))
    }

    /// What this clock showed when the machine's showed that.
    fn at(&self, machine: SystemTime) -> SystemTime {
        let added = self.0.lock().unwrap();
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
        name capabilities get_content put_content put_all reader writer list list_holding rename delete delete_tree
        delete_all sync_deletions check redirect_url
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let info = self.inner.stat(path).await?;
        Ok(FileInfo { modified: self.time.at(info.modified), ..info })
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let time = self.time.clone();
        let dated = self
            .inner
            .walk(path, after)
            .map_ok(move |info| FileInfo { modified: time.at(info.modified), ..info });
        // Until what was seen is acted on, time passes.
        let pause = stream::once(tokio::time::sleep(self.pause)).filter_map(|()| std::future::ready(None));
        dated.chain(pause).boxed()
    }
}
