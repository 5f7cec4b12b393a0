//! Requests whose clients are gone: what they began serves later ones, and what has not begun is left undone.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::sync::{Arc, Barrier, mpsc};

use futures::{FutureExt, TryStreamExt};
use sampan_bundle_store::BundleStore;
use sampan_driver::{ByteRange, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use support::transfer::{Store, sample};
use support::{Files, blob, bundle_of, chain, large_image, streamed};

/// A runtime with one thread for blocking work, so that this begins in the order of the calls.
fn with_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

/// Lets no blocking work begin before it is dropped.
fn occupy() -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    tokio::task::spawn_blocking(move || released.recv());
    release
}

/// Waits until the blocking work so far has ended.
async fn settle() {
    tokio::task::spawn_blocking(|| {}).await.unwrap();
}

/// Whether a check stops when what follows it is gone. `begin` begins one, and leaves it; a check that continues finds the damage in
/// the second half. It may be at its end before it is left, so one of several tries must stop.
fn stops(algorithm: Algorithm, begin: impl AsyncFn(&BundleStore, &Digest)) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let (near, files) = (Store::new(), Files::new());
        let layer: Vec<u8> = (0..4_u32 << 20).flat_map(u32::to_be_bytes).collect();
        near.image("a", algorithm, "a", std::slice::from_ref(&layer), false, &["1"]).await;
        let digest = Digest::of(algorithm, &layer);
        files.write("b.tar", &bundle_of(&near).await);
        files.damage("b.tar", &digest).await;
        for _ in 0..20 {
            let served = files.open(&["b.tar"]).await.unwrap();
            begin(&served, &digest).await;
            // Both threads are free.
            let free = Arc::new(Barrier::new(2));
            let [one, two] =
                [free.clone(), free].map(|free| tokio::task::spawn_blocking(move || free.wait()));
            one.await.unwrap();
            two.await.unwrap();
            if let Ok(later) = served.reader(&blob(&digest), ByteRange::ALL).await {
                let error = streamed(later).await.unwrap_err();
                assert!(chain(&error).contains("the bundle is damaged"), "it continues: {error}");
                return true;
            }
        }
        false
    })
}

#[test]
fn a_check_stops_when_its_requests_are_gone() {
    let begin = async |served: &BundleStore, digest: &Digest| {
        let reader = served.reader(&blob(digest), ByteRange::ALL).await.unwrap();
        let mut content = reader.into_stream();
        assert!(!content.try_next().await.unwrap().unwrap().is_empty());
    };
    assert!(stops(Algorithm::Sha256, begin));
}

#[test]
fn the_name_of_a_blob_is_sought_as_long_as_a_request_needs_it() {
    let begin = async |served: &BundleStore, digest: &Digest| {
        let link = Entry::LayerLink("a".parse().unwrap(), digest.clone()).path();
        // The manifests are read first.
        served.stat(&link).await.unwrap();
        assert!(served.get_content(&link).now_or_never().is_none());
    };
    assert!(stops(Algorithm::Sha512, begin));
}

#[test]
fn a_read_of_manifests_outlives_its_request() {
    with_one_thread(async {
        let files = Files::new();
        files.write("b.tar", &bundle_of(&sample().await).await);
        let served = files.open(&["b.tar"]).await.unwrap();
        let path = Entry::LayerLink("team/app".parse().unwrap(), Digest::sha256_of(&[1; 3000])).path();
        let busy = occupy();
        for _ in 0..3 {
            assert!(served.stat(&path).now_or_never().is_none());
        }
        drop(busy);
        settle().await;
        let _busy = occupy();
        served.stat(&path).now_or_never().unwrap().unwrap();
    });
}

#[test]
fn content_is_not_read_for_requests_that_are_gone() {
    with_one_thread(async {
        let (near, files) = (Store::new(), Files::new());
        let (digest, _) = large_image(&near, 3 << 20).await;
        files.write("b.tar", &bundle_of(&near).await);
        files.damage("b.tar", &digest).await;
        let served = files.open(&["b.tar"]).await.unwrap();
        let path = blob(&digest);
        let reader = || served.reader(&path, ByteRange::ALL);
        let busy = occupy();
        drop(reader().await.unwrap());
        drop(busy);
        settle().await;
        // A check would have found the damage.
        streamed(reader().await.unwrap()).await.unwrap_err();
        reader().await.unwrap_err();
    });
}
