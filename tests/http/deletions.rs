//! Deletions of manifests that have many tags, whose clients go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sampan_engine::oci::Digest;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use crate::support::odd_driver::Oddity;
use crate::support::{OddDriver, Server, Setup};

const TAGS: usize = 300;

/// A server, its store, and the path of a manifest with many tags, beside another with one.
async fn with_tags() -> (Arc<Server>, OddDriver, String) {
    let driver = OddDriver::new();
    let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
    let manifest = server.push_image("a", "latest", "x").await;
    let manifest = serde_json::from_slice(&manifest).unwrap();
    let digest = Digest::sha256_of(serde_json::Value::to_string(&manifest).as_bytes());
    for first in (0..TAGS).step_by(100) {
        let tags: Vec<_> = (first..first + 100).map(|number| format!("tag=t{number}")).collect();
        server.put_manifest("a", &format!("{digest}?{}", tags.join("&")), &manifest).await.expect(201);
    }
    server.push_image("a", "other", "y").await;
    (Arc::new(server), driver, format!("/v2/a/manifests/{digest}"))
}

/// Deletes it in a task of its own.
fn delete(server: &Arc<Server>, path: &str) -> tokio::task::JoinHandle<u16> {
    let (server, path) = (server.clone(), path.to_owned());
    tokio::spawn(async move { server.call("DELETE", path).send().await.status.as_u16() })
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_deletion_goes_on_when_its_client_is_gone_and_keeps_to_its_bound() {
    let (server, driver, path) = with_tags().await;
    let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    driver.be(Oddity::HoldsTags(permits.clone(), begun.clone()));
    let client = delete(&server, &path);
    until(|| begun.load(Ordering::Relaxed) > 0).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());

    // One by one, they are all read, and no more at a time than may be.
    let finished = tokio::spawn({
        let server = server.clone();
        async move { server.registry.finish_deletions().await }
    });
    let mut most = 0;
    let mut given = 0;
    while !finished.is_finished() {
        most = most.max(begun.load(Ordering::Relaxed).saturating_sub(given));
        if permits.available_permits() == 0 && begun.load(Ordering::Relaxed) > given {
            permits.add_permits(1);
            given += 1;
        }
        yield_now().await;
    }
    assert!((2..=16).contains(&most), "{most}");
    driver.behave();
    server.call("GET", &path).send().await.expect_error(404, "MANIFEST_UNKNOWN");
    let tags = server.call("GET", "/v2/a/tags/list").send().await.expect(200);
    assert_eq!(tags.json()["tags"], serde_json::json!(["other"]));
}

#[tokio::test]
async fn who_asks_again_waits_for_the_deletion_that_is_running() {
    let (server, driver, path) = with_tags().await;
    let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    driver.be(Oddity::HoldsTags(permits.clone(), begun.clone()));
    let first = delete(&server, &path);
    until(|| begun.load(Ordering::Relaxed) > 0).await;
    let again: Vec<_> = (0..50).map(|_| delete(&server, &path)).collect();
    (0..1000).for_each(|_| assert!(!first.is_finished()));
    permits.add_permits(100_000);
    assert_eq!(first.await.unwrap(), 202);
    for again in again {
        assert_eq!(again.await.unwrap(), 404);
    }
    // Looked at twice each, and once more where a tag is removed; not fifty times.
    assert!(begun.load(Ordering::Relaxed) < 5 * (TAGS + 2), "{begun:?}");
}

#[tokio::test]
async fn a_deletion_that_fails_is_told_and_can_be_repeated() {
    let (server, driver, path) = with_tags().await;
    driver.be(Oddity::ListsBreakAfter(100));
    assert_eq!(delete(&server, &path).await.unwrap(), 503);
    driver.behave();
    server.call("GET", &path).send().await.expect(200);
    assert_eq!(delete(&server, &path).await.unwrap(), 202);
    server.call("GET", &path).send().await.expect_error(404, "MANIFEST_UNKNOWN");
}
