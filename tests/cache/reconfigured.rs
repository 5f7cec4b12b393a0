//! Stores that were an ordinary registry before the configuration named repositories a cache, or that Distribution's cache filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sampan::http::HttpServices;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Digest, Reference, RepositoryName, media_type};
use sampan_engine::{Clock, PutManifest, gc};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::pair::evicting;
use super::support::{TestClock, caches, settings};
use crate::support::{Server, Setup, Upstream};

const TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A store whose registry is restarted with other settings.
struct Reconfigured {
    driver: Arc<dyn StorageDriver>,
    upstream: Upstream,
    ahead_secs: Arc<AtomicU64>,
}

impl Reconfigured {
    async fn new() -> Self {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        Self { driver, upstream: Upstream::start().await, ahead_secs: Arc::default() }
    }

    /// A process in which the repositories below `up` are no caches.
    fn ordinary(&self) -> Server {
        Server::with(Setup { driver: self.driver.clone(), ..Setup::default() })
    }

    /// A process in which they are caches.
    fn cache(&self) -> Server {
        let caches = caches(vec![settings("up", &self.upstream.url(), &TestClock::default())], None);
        let (base, ahead) = (SystemTime::now(), self.ahead_secs.clone());
        Server::with(Setup {
            driver: self.driver.clone(),
            services: HttpServices { caches: Some(caches), ..HttpServices::default() },
            prefixes: CachePrefixes::below(["up".parse().unwrap()]),
            clock: Clock::new(move || base + Duration::from_secs(ahead.load(Ordering::Relaxed))),
            ..Setup::default()
        })
    }

    fn advance(&self, duration: Duration) {
        self.ahead_secs.fetch_add(duration.as_secs(), Ordering::Relaxed);
    }
}

/// Fails if a configuration makes what was pushed a victim.
#[tokio::test]
async fn what_was_pushed_below_a_new_prefix_is_not_evicted() {
    let store = Reconfigured::new().await;
    let ordinary = store.ordinary();
    let pushed = ordinary.push_image("up/team", "v1", "pushed").await;
    let orphan = ordinary.push_image("up/team", "v2", "of which the data are lost").await;
    drop(ordinary);
    let lost = Entry::Blob(Digest::sha256_of(&orphan)).path();
    store.driver.delete(&lost).await.unwrap();

    let cache = store.cache();
    let fetched = store.upstream.image("team", "fetched", &[b"of the upstream"]);
    cache.call("GET", "/v2/up/team/manifests/fetched").send().await.expect(200);
    for evict in [evicting(Some(TTL), None), evicting(None, Some(1))] {
        store.advance(TTL + TTL / 2);
        let report = gc::collect(&cache.registry, &evict).await.unwrap();
        assert!(report.evicted.ttl.count <= 1 && report.evicted.size.count == 0, "{report:?}");
        let answer = cache.call("GET", "/v2/up/team/manifests/v1").send().await.expect(200);
        assert_eq!(answer.body, pushed);
        let manifest: serde_json::Value = serde_json::from_slice(&pushed).unwrap();
        for blob in [&manifest["config"], &manifest["layers"][0]] {
            let digest = blob["digest"].as_str().unwrap();
            cache.call("GET", format!("/v2/up/team/blobs/{digest}")).send().await.expect(200);
        }
    }
    // What came from the upstream is gone, and the tag that was pushed is not.
    let files = cache.files().await;
    let has = |part: &str| files.iter().any(|(path, _)| path.contains(part));
    assert!(!has(fetched.digest.hex()) && !has("tags/fetched") && has("tags/v2"), "{files:?}");
}

/// Fails if a push leaves a fetched manifest evictable.
#[tokio::test]
async fn what_was_fetched_and_then_pushed_is_not_evicted() {
    let store = Reconfigured::new().await;
    let image = store.upstream.image("app", "latest", &[b"layer"]);
    let cache = store.cache();
    cache.call("GET", "/v2/up/app/manifests/latest").send().await.expect(200);
    for digest in &image.blobs {
        cache.call("GET", format!("/v2/up/app/blobs/{digest}")).send().await.expect(200);
    }
    let ordinary = store.ordinary();
    let put = || {
        let call = ordinary.call("PUT", "/v2/up/app/manifests/pushed");
        call.header("content-type", media_type::OCI_MANIFEST).body(image.manifest.clone()).send()
    };
    while put().await.status != 201 {
        // The blobs come in the background.
        tokio::task::yield_now().await;
    }
    let cache = store.cache();
    store.advance(TTL + TTL / 2);
    gc::collect(&cache.registry, &evicting(Some(TTL), Some(1))).await.unwrap();
    assert_eq!(
        cache.call("GET", "/v2/up/app/manifests/pushed").send().await.expect(200).body,
        image.manifest
    );
}

/// Fails if the mark of a manifest that was deleted counts for one that is imported: a crash leaves it, and so does Distribution.
#[tokio::test]
async fn what_is_imported_where_a_mark_was_left_is_not_evicted() {
    let store = Reconfigured::new().await;
    let bytes = store.ordinary().push_image("up/app", "v1", "pushed").await;
    let (name, digest): (RepositoryName, _) = ("up/app".parse().unwrap(), Digest::sha256_of(&bytes));
    let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
    store.driver.delete(&link).await.unwrap();
    let mark = Entry::Fetched(name.clone(), digest.clone()).path();
    store.driver.put_content(&mark, digest.to_string().into(), PutMode::Overwrite).await.unwrap();

    let cache = store.cache();
    let reference = Reference::Digest(digest);
    let put = PutManifest { bytes, media_type: None, reference, tags: Vec::new(), left_out: Vec::new() };
    cache.registry.repository(name).manifests().put(put).await.unwrap();
    store.advance(TTL + TTL / 2);
    let report = gc::collect(&cache.registry, &evicting(Some(TTL), Some(1))).await.unwrap();
    assert_eq!((report.evicted.ttl.count, report.evicted.size.count), (0, 0));
    assert!(store.driver.stat_if_any(&link).await.unwrap().is_some());
}

/// The store of Distribution's cache: the file of its scheduler says what it fetched.
#[tokio::test]
async fn what_the_cache_of_distribution_has_fetched_is_evicted() {
    let store = Reconfigured::new().await;
    let ordinary = store.ordinary();
    let fetched = Digest::sha256_of(&ordinary.push_image("up/app", "fetched", "fetched").await);
    let pushed = Digest::sha256_of(&ordinary.push_image("up/app", "pushed", "pushed").await);
    let expiry = OffsetDateTime::from(SystemTime::now() + TTL).format(&Rfc3339).unwrap();
    let key = format!("up/app@{fetched}");
    let state = serde_json::json!({ (key.as_str()): { "Key": key, "ExpiryData": expiry, "EntryType": 1 } });
    store
        .driver
        .put_content(&layout::scheduler_state(), state.to_string().into(), PutMode::Overwrite)
        .await
        .unwrap();
    let cache = store.cache();
    // The second collection begins with the record of another process.
    for count in [1, 0] {
        store.advance(TTL + TTL / 2);
        let report = gc::collect(&cache.registry, &evicting(Some(TTL), None)).await.unwrap();
        assert_eq!(report.evicted.ttl.count, count, "{report:?}");
        cache.registry.cache_uses().save(&store.driver).await.unwrap();
    }
    let files = cache.files().await;
    let has = |digest: &Digest| files.iter().any(|(path, _)| path.contains(digest.hex()));
    assert!(has(&pushed) && !has(&fetched));
}
