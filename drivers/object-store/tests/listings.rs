//! Listings beside foreign keys, which have empty or dotted segments, and from any start.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[path = "support/s3/mod.rs"]
#[allow(dead_code, reason = "this test needs no faults")]
mod s3;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use s3::{Conditions, S3};
use sampan_driver::{DriverConfig, DriverPath, PutMode, StorageDriver};
use sampan_driver_object_store::S3Config;
use time::OffsetDateTime;

const FOREIGN: [&str; 8] = [
    "!a//b",
    "/docker/x",
    "docker/registry/v2//x",
    "docker/registry/v2/blobs/sha256//x",
    "docker/registry/v2/repositories/q//a",
    "docker/registry/v2/repositories/q/_layers/../x",
    "docker/registry/v2/repositories/q/_manifests/tags/v2//current/link",
    "docker/registry/v2/repositories/./x",
];

const OURS: &str = "/docker/registry/v2/repositories/q/_manifests/tags/v2/current/link";

async fn open(store: &S3) -> Arc<dyn StorageDriver> {
    serde_json::from_str::<S3Config>(&store.section("")).unwrap().build().await.unwrap()
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

#[tokio::test]
async fn foreign_keys_are_left_out_and_left_alone() {
    let store = S3::start(Conditions::Quoted);
    FOREIGN.iter().for_each(|key| store.put(key, OffsetDateTime::now_utc()));
    store.put("docker/registry/v2/folder/", OffsetDateTime::now_utc());
    let driver = open(&store).await;
    driver.put_content(&path(OURS), "x".into(), PutMode::Create).await.unwrap();
    let walked: Vec<_> =
        driver.walk(&path("/docker/registry/v2/repositories"), None).try_collect().await.unwrap();
    let walked: Vec<_> = walked.iter().map(|info| info.path.as_str()).collect();
    assert_eq!(walked, [OURS]);
    for (level, names) in [
        ("/docker/registry/v2", vec!["blobs", "folder", "repositories"]),
        ("/docker/registry/v2/repositories", vec!["q"]),
        ("/docker/registry/v2/repositories/q/_manifests/tags", vec!["v2"]),
        ("/docker/registry/v2/repositories/q/_manifests/tags/v2", vec!["current"]),
        ("/docker/registry/v2/blobs/sha256", vec![]),
    ] {
        let found: Vec<_> = driver.list(&path(level), None).try_collect().await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.name()).collect::<Vec<_>>(), names, "{level}");
    }
    driver.delete_tree(&path("/docker/registry/v2/repositories/q")).await.unwrap();
    for key in FOREIGN {
        assert!(store.keys().iter().any(|left| left == key), "{key} was deleted");
    }
    assert_eq!(
        driver.list(&path("/docker/registry/v2/repositories/q/_manifests/tags/v2"), None).count().await,
        0
    );
}

/// Pages that hold foreign keys alone hide nothing that follows.
#[tokio::test]
async fn foreign_keys_do_not_hide_what_follows_on_another_page() {
    let store = S3::start(Conditions::Quoted);
    let driver = open(&store).await;
    let now = OffsetDateTime::now_utc();
    for number in 0..1100 {
        store.put(&format!("t/a//{number}"), now);
        // They end a page at a key whose prefix `a` has yet to come.
        store.put(&format!("t/a-{number}"), now);
    }
    store.put("t/a/z", now);
    let found: Vec<_> = driver.list(&path("/t"), None).try_collect().await.unwrap();
    assert_eq!(found.len(), 1101);
    assert!(found.iter().any(|entry| entry.name() == "a" && entry.is_directory()));
    let found: Vec<_> = driver.list(&path("/t/a"), None).try_collect().await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.name()).collect::<Vec<_>>(), ["z"]);
    driver.delete_tree(&path("/t/a")).await.unwrap();
    assert!(!store.keys().iter().any(|key| key == "t/a/z"));
}

/// A client chooses where a page begins.
#[tokio::test]
async fn a_listing_begins_after_any_text() {
    let store = S3::start(Conditions::Quoted);
    let driver = open(&store).await;
    for name in ["a", "b", "b-c", "c"] {
        store.put(&format!("t/{name}"), OffsetDateTime::now_utc());
    }
    for (after, names) in [
        ("\0", &["a", "b", "b-c", "c"][..]),
        ("b\0", &["b-c", "c"]),
        ("b\u{ffff}", &["c"]),
        ("b", &["b-c", "c"]),
        ("c\n", &[]),
    ] {
        let found: Vec<_> = driver.list(&path("/t"), Some(after)).try_collect().await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.name()).collect::<Vec<_>>(), names, "{after:?}");
    }
}
