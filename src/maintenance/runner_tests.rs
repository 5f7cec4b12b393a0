//! Tests of the end of a collector, and of what it is to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{DriverPath, FileInfo, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use tokio::sync::Notify;

use super::*;

/// A store that does not respond to a walk.
#[derive(Debug)]
struct Hung {
    inner: InMemoryDriver,
    asked: Arc<Notify>,
}

#[async_trait]
impl StorageDriver for Hung {
    sampan_driver::forward! { self => self.inner;
        name capabilities get_content put_content put_all reader writer stat list rename delete delete_tree delete_all
        sync_deletions check redirect_url
    }

    fn walk(
        &self,
        _: &DriverPath,
        _: Option<&DriverPath>,
    ) -> BoxStream<'static, sampan_driver::Result<FileInfo>> {
        self.asked.notify_one();
        stream::pending().boxed()
    }
}

#[tokio::test]
async fn a_hanging_store_does_not_block_the_end() {
    let asked = Arc::new(Notify::new());
    let driver = Hung { inner: InMemoryDriver::new(), asked: asked.clone() };
    let registry = Registry::builder(Arc::new(driver)).build();
    let collector = Collector::new(registry, settings());
    collector.request_collection().unwrap();
    let ended = async {
        asked.notified().await;
        collector.end();
    };
    let run = tokio::time::timeout(STOP_TIMEOUT * 20, collector.run());
    let (run, ()) = tokio::join!(run, ended);
    run.expect("the collector must end although the store does not respond");
    assert_eq!(collector.totals().stopped, 1);
}

fn settings() -> Settings {
    Settings {
        schedule: None,
        scope: Scope::All,
        evict: None,
        grace: Duration::from_secs(60),
        delete_untagged: false,
        upload_age: None,
        max_delete_percent: 100,
    }
}

/// Offline, what is evicted cannot be fetched again, also where offline began with a request.
#[test]
fn nothing_is_evicted_while_offline() {
    let offline = Arc::new(AtomicBool::new(true));
    let registry = Registry::builder(Arc::new(InMemoryDriver::new())).build();
    let settings = Settings { evict: Some(gc::Eviction::default()), ..settings() };
    let is_offline = offline.clone();
    let collector =
        Collector::new(registry, settings.clone()).unless_offline(move || is_offline.load(Ordering::Relaxed));
    let evicts =
        || collector.options(&settings, Trigger::Schedule, &CancellationToken::new()).evict.is_some();
    assert!(!evicts());
    offline.store(false, Ordering::Relaxed);
    assert!(evicts());
}
