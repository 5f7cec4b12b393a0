//! `Pair`: two replicas of a registry with a cache, over one store, and a time that only the test moves.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sampan::http::HttpServices;
use sampan_cache::{Caches, UpstreamSettings};
use sampan_client::Timeouts;
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::gc::{Eviction, Options};

use super::support::{TestClock, caches, settings};
use crate::support::dated_driver::{DatedDriver, StoreTime};
use crate::support::{Server, Setup, Upstream};

/// The grace period of the replicas and of collections.
pub(crate) const GRACE: Duration = Duration::from_secs(20 * 60);

/// The grace period of caches.
pub(crate) const CACHE_GRACE: Duration = Duration::from_secs(10 * 60);

/// Two replicas with caches of one upstream. Every clock but the machine's stands still unless the test moves it.
pub(crate) struct Pair {
    pub(crate) upstream: Upstream,
    pub(crate) replicas: [Replica; 2],
    pub(crate) driver: Arc<dyn StorageDriver>,
    /// The clock of what was heard from the upstream.
    pub(crate) heard: TestClock,
    time: StoreTime,
    /// While a blocking task runs, the paused time of the runtime does not move by itself.
    _still: mpsc::Sender<()>,
}

/// A process.
pub(crate) struct Replica {
    pub(crate) server: Server,
    pub(crate) caches: Caches,
}

impl Pair {
    /// Two replicas over a store in memory.
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(InMemoryDriver::new()), Duration::ZERO).await
    }

    /// Two replicas over `driver`, whose walks end with a pause. The time of the runtime must be paused.
    pub(crate) async fn over(driver: Arc<dyn StorageDriver>, pause: Duration) -> Self {
        Self::with(driver, pause, |_| {}).await
    }

    /// Two replicas in memory that wait for the upstream however much time passes.
    pub(crate) async fn patient() -> Self {
        let forever = Duration::from_secs(365 * 24 * 60 * 60);
        let patient = |upstream: &mut UpstreamSettings| {
            upstream.client.timeouts = Timeouts {
                connect: forever,
                answer: forever,
                stall: forever,
                per_mebibyte: forever,
                commit: forever,
            };
        };
        Self::with(Arc::new(InMemoryDriver::new()), Duration::ZERO, patient).await
    }

    async fn with(
        driver: Arc<dyn StorageDriver>,
        pause: Duration,
        change: impl Fn(&mut UpstreamSettings),
    ) -> Self {
        let (still, ended) = mpsc::channel();
        tokio::task::spawn_blocking(move || ended.recv());
        let (time, heard) = (StoreTime::default(), TestClock::default());
        let driver: Arc<dyn StorageDriver> = Arc::new(DatedDriver::new(driver, time.clone(), pause));
        let upstream = Upstream::start().await;
        let replicas = [(); 2].map(|()| {
            let mut settings = settings("up", &upstream.url(), &heard);
            change(&mut settings);
            Replica::new(&driver, &time, settings)
        });
        Self { upstream, replicas, driver, heard, time, _still: still }
    }

    /// Puts a new process in the place of a replica. Transfers of the old one continue beside it.
    pub(crate) fn restart(&mut self, place: usize) {
        let settings = settings("up", &self.upstream.url(), &self.heard);
        self.replicas[place] = Replica::new(&self.driver, &self.time, settings);
    }

    /// Moves all clocks on, after the last transfer.
    pub(crate) async fn advance(&self, duration: Duration) {
        self.settle().await;
        // The dates of a filesystem may lag behind by the time between two ticks of the kernel.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(10) {
            tokio::task::yield_now().await;
        }
        self.heard.advance(duration);
        self.tick(duration).await;
    }

    /// Waits until all transfers have ended.
    pub(crate) async fn settle(&self) {
        let running = || self.replicas.iter().map(|replica| replica.caches.fills().running()).sum::<usize>();
        self.paced(async {
            while running() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Does `work` while time passes: a minute for less than a second of the machine's, but none while the store works.
    pub(crate) async fn paced<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let (mut turns, mut ticked) = (0, Instant::now());
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => turns += 1,
            }
            // A store that waits for something else gets some time, too.
            let pause = Duration::from_millis(if self.time.is_working() { 5000 } else { 1 });
            if turns >= 20 && ticked.elapsed() >= pause {
                self.tick(Duration::from_millis(200)).await;
                (turns, ticked) = (0, Instant::now());
            }
        }
    }

    async fn tick(&self, duration: Duration) {
        self.time.add(duration);
        tokio::time::advance(duration).await;
    }
}

impl Replica {
    fn new(driver: &Arc<dyn StorageDriver>, time: &StoreTime, settings: UpstreamSettings) -> Self {
        let prefixes = CachePrefixes::below(settings.prefix.clone());
        let caches = caches(vec![settings], None);
        let services = HttpServices { caches: Some(caches.clone()), ..HttpServices::default() };
        let server = Server::with(Setup {
            driver: driver.clone(),
            services,
            prefixes,
            grace: Some(GRACE),
            clock: time.clock(),
            ..Setup::default()
        });
        Self { server, caches }
    }
}

/// A collection that evicts.
pub(crate) fn evicting(ttl: Option<Duration>, max_bytes: Option<u64>) -> Options {
    let evict = Eviction { ttl, max_bytes, grace: CACHE_GRACE, ..Eviction::default() };
    Options { grace: GRACE, upload_age: Some(GRACE), evict: Some(evict), ..Options::default() }
}
