//! Imports into a cache of another registry: what was imported stays there.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use sampan_engine::caches::CachePrefixes;
use sampan_engine::gc::{self, Eviction};
use sampan_engine::oci::{Algorithm, Digest, Reference, media_type};
use sampan_engine::{CachedPut, Clock, Registry};
use sampan_transfer::{ImportReport, LiveExport, Progress, Source, StoreTarget, import, plan};
use support::{Store, import_options, name, options, runtime};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A registry with caches below `hub`.
fn cache(store: &Store) -> Registry {
    cache_after(store, Arc::default())
}

/// The same, so many weeks after now.
fn cache_after(store: &Store, weeks: Arc<AtomicU32>) -> Registry {
    let clock = Clock::new(move || SystemTime::now() + weeks.load(Ordering::Relaxed) * WEEK);
    let caches = CachePrefixes::below([name("hub")]);
    Registry::builder(store.driver.clone()).caches(caches).clock(clock).build()
}

/// Stores a manifest as a pull does.
async fn fetch(near: &Store, far: &Store, digest: &Digest, tags: &[&str]) {
    let found = near.source().manifest(&name("hub/app"), &digest.clone().into()).await.unwrap().unwrap();
    let put = CachedPut {
        bytes: found.bytes,
        media_type: found.media_type.to_string(),
        digest: digest.clone(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
    };
    cache(far).repository(name("hub/app")).manifests().put_cached(put).await.unwrap();
}

async fn copy(near: &Store, target: &StoreTarget) -> ImportReport {
    let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
    let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
    import(&live, target, &import_options(), &Progress::default()).await.unwrap()
}

/// Evicts what was not used for a week, and returns how many manifests.
async fn evict(store: &Store) -> u64 {
    let evict = Some(Eviction { ttl: Some(WEEK), ..Eviction::default() });
    let options = gc::Options { grace: Duration::ZERO, evict, ..gc::Options::default() };
    let weeks = Arc::<AtomicU32>::default();
    let registry = cache_after(store, weeks.clone());
    weeks.store(2, Ordering::Relaxed);
    gc::collect(&registry, &options).await.unwrap().evicted.ttl.count
}

#[test]
fn what_a_pull_has_stored_before_its_import_stays() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        let image = near.image("hub/app", Algorithm::Sha256, "x", &[vec![1; 10]], false, &[]).await;
        let index = near.index("hub/app", std::slice::from_ref(&image), &["v1"]).await;
        fetch(&near, &far, &image.digest, &[]).await;
        fetch(&near, &far, &index.digest, &["v1"]).await;
        let target = StoreTarget::new(cache(&far));
        copy(&near, &target).await;
        // A second import finds all of it.
        let again = copy(&near, &target).await;
        assert_eq!((again.imported, again.unchanged), (0, 1));
        assert_eq!(evict(&far).await, 0);
        let manifests = cache(&far).repository(name("hub/app")).manifests();
        let stored = manifests.get(&Reference::Tag("v1".parse().unwrap())).await.unwrap();
        assert_eq!(stored.media_type.as_str(), media_type::OCI_INDEX);
    });
}

#[test]
fn what_a_schedule_has_copied_is_evicted() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        near.image("hub/app", Algorithm::Sha256, "x", &[vec![1; 10]], false, &["v1"]).await;
        let target = StoreTarget::of_upstream(cache(&far));
        copy(&near, &target).await;
        let again = copy(&near, &target).await;
        assert_eq!((again.imported, again.unchanged), (0, 1));
        assert_eq!(evict(&far).await, 1);
    });
}
