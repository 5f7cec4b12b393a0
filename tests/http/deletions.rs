//! Deletions of manifests with many tags, whose clients disconnect.

use std::sync::Arc;

use futures::FutureExt;
use sampan_engine::oci::Digest;
use tokio::task::yield_now;

use crate::support::failing_driver::{Held, Misbehaviour};
use crate::support::{FailingDriver, Server, Setup};

const TAGS: usize = 300;

/// A server, its store, and the path of a manifest with many tags, next to another with one.
async fn with_tags() -> (Arc<Server>, FailingDriver, String) {
    let driver = FailingDriver::new();
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

/// Deletes the manifest in a separate task.
fn delete(server: &Arc<Server>, path: &str) -> tokio::task::JoinHandle<u16> {
    let (server, path) = (server.clone(), path.to_owned());
    tokio::spawn(async move { server.call("DELETE", path).send().await.status.as_u16() })
}

#[tokio::test]
async fn a_deletion_continues_without_its_client_and_within_its_bound() {
    let (server, driver, path) = with_tags().await;
    let held = Held::new();
    driver.be(Misbehaviour::HoldsTags("", held.clone()));
    let client = delete(&server, &path);
    held.reached().await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());

    // All tags are read, at most as many at a time as the bound allows.
    let finished = tokio::spawn({
        let server = server.clone();
        async move { server.registry.finish_deletions().await }
    });
    let mut most = 0;
    let mut given = 0;
    while !finished.is_finished() {
        most = most.max(held.begun().saturating_sub(given));
        if held.permits.available_permits() == 0 && held.begun() > given {
            held.permits.add_permits(1);
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

/// A migration takes the store as at rest then.
#[tokio::test]
async fn a_registry_that_becomes_read_only_waits_for_the_deletion_and_refuses_others() {
    let (server, driver, path) = with_tags().await;
    let held = Held::new();
    driver.be(Misbehaviour::HoldsTags("", held.clone()));
    let deletion = delete(&server, &path);
    held.reached().await;
    server.registry.set_read_only(true);
    deletion.abort();
    assert!(deletion.await.unwrap_err().is_cancelled());
    assert_eq!(server.registry.running_writes(), 1);
    let ended = server.registry.writes_ended();
    tokio::pin!(ended);
    assert!((&mut ended).now_or_never().is_none(), "it is still running");
    held.permits.add_permits(100_000);
    ended.await;
    driver.behave();
    let after = server.files().await;
    server.call("GET", &path).send().await.expect_error(404, "MANIFEST_UNKNOWN");
    server.call("DELETE", &path).send().await.expect_error(405, "UNSUPPORTED");
    assert_eq!(server.files().await, after);
}

#[tokio::test]
async fn a_repeated_request_waits_for_the_running_deletion() {
    let (server, driver, path) = with_tags().await;
    let held = Held::new();
    driver.be(Misbehaviour::HoldsTags("", held.clone()));
    let first = delete(&server, &path);
    held.reached().await;
    let again: Vec<_> = (0..50).map(|_| delete(&server, &path)).collect();
    (0..1000).for_each(|_| assert!(!first.is_finished()));
    held.permits.add_permits(100_000);
    assert_eq!(first.await.unwrap(), 202);
    for again in again {
        assert_eq!(again.await.unwrap(), 404);
    }
    // Each tag is read a few times, not fifty times.
    assert!(held.begun() < 6 * (TAGS + 2), "{held:?}");
}

#[tokio::test]
async fn a_failed_deletion_is_reported_and_can_be_repeated() {
    let (server, driver, path) = with_tags().await;
    driver.be(Misbehaviour::ListsBreakAfter(100));
    assert_eq!(delete(&server, &path).await.unwrap(), 503);
    driver.behave();
    server.call("GET", &path).send().await.expect(200);
    assert_eq!(delete(&server, &path).await.unwrap(), 202);
    server.call("GET", &path).send().await.expect_error(404, "MANIFEST_UNKNOWN");
}

/// Otherwise the tag would reappear with the next push of its manifest.
#[tokio::test]
async fn a_tag_set_during_the_scan_of_a_deletion_is_deleted_too() {
    let (server, driver, path) = with_tags().await;
    let held = Held::new();
    driver.be(Misbehaviour::HoldsTags("t0/", held.clone()));
    let deletion = delete(&server, &path);
    held.reached().await;
    // It sorts before the listed tags.
    let manifest: serde_json::Value = server.call("GET", &path).send().await.expect(200).json();
    server.put_manifest("a", "a-late", &manifest).await.expect(201);
    let late = Held::new();
    driver.be(Misbehaviour::HoldsTags("a-late/", late.clone()));
    held.permits.add_permits(100);
    late.reached().await;
    let digest = path.rsplit('/').next().unwrap();
    server.put_manifest("a", digest, &manifest).await.expect(201);
    late.permits.add_permits(100);
    assert_eq!(deletion.await.unwrap(), 202);
    driver.behave();
    server.call("GET", "/v2/a/manifests/a-late").send().await.expect_error(404, "MANIFEST_UNKNOWN");
    server.put_manifest("a", digest, &manifest).await.expect(201);
    let tags = server.call("GET", "/v2/a/tags/list").send().await.expect(200);
    assert_eq!(tags.json()["tags"], serde_json::json!(["other"]));
}
