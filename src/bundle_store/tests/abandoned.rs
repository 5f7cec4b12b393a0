//! Requests whose clients are gone: what they began serves later ones, and what has not begun is left undone.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::sync::mpsc;

use futures::FutureExt;
use sampan_driver::{ByteRange, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use support::transfer::{Store, sample};
use support::{Files, blob, bundle_of, large_image, streamed};

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
