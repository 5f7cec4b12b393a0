//! `Caches::complete`: what cached images lack is listed, and fetched.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use sampan_cache::{CacheError, CompleteOptions, Completion, Lack};
use sampan_driver::PutMode;
use sampan_engine::oci::RepositoryName;

use super::support::{World, caches, settings};
use crate::support::failing_driver::Misbehaviour;
use crate::support::hostile_server::Reply;
use crate::support::{FailingDriver, Server};

fn options(dry_run: bool) -> CompleteOptions {
    CompleteOptions { wants: Box::new(|_| true), dry_run, jobs: 4 }
}

/// Completes all cached tags.
async fn complete(world: &World, dry_run: bool) -> (Completion, Vec<Lack>) {
    let mut lacks = Vec::new();
    let tell = |lack: &Lack| lacks.push(lack.clone());
    let completion = world.caches.complete(&world.server.registry, &options(dry_run), |_| true, tell).await;
    (completion.unwrap(), lacks)
}

/// Completes one tag of `up/app`.
async fn complete_tag(world: &World, tag: &str, dry_run: bool) -> (Completion, Vec<Lack>) {
    let (mut completion, mut lacks) = (Completion::default(), Vec::new());
    let mut tell = |lack: &Lack| lacks.push(lack.clone());
    let (name, tag) = ("up/app".parse().unwrap(), tag.parse().unwrap());
    let (registry, options) = (&world.server.registry, options(dry_run));
    let done = world.caches.complete_tag(registry, &options, &name, &tag, &mut completion, &mut tell);
    done.await.unwrap();
    (completion, lacks)
}

#[tokio::test]
async fn layers_that_no_client_pulled_are_listed_and_fetched() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one", b"two"]);
    world.manifest("latest").await.expect(200);
    world.blob(&image.blobs[0]).await.expect(200);

    let (listed, lacks) = complete(&world, true).await;
    assert_eq!((listed.tags, listed.missing, listed.left), (1, 2, 2));
    assert!(
        lacks
            .iter()
            .all(|lack| lack.fetched.is_none() && image.blobs[1..].contains(lack.digest.as_ref().unwrap()))
    );
    let (fetched, _) = complete(&world, false).await;
    assert_eq!((fetched.missing, fetched.left), (2, 0));
    assert_eq!(complete(&world, false).await.0.missing, 0);
    // Without the upstream the image is whole.
    world.caches.set_offline(true);
    for blob in &image.blobs {
        world.blob(blob).await.expect(200);
    }
}

/// A list that says "nothing is lacking" of an image that is not cached at all would be believed.
#[tokio::test]
async fn an_image_that_is_not_cached_lacks_its_manifest() {
    let world = World::new().await;
    let image = world.upstream.image("app", "new", &[b"one"]);
    let (listed, lacks) = complete_tag(&world, "new", true).await;
    assert_eq!((listed.missing, listed.left), (1, 1));
    assert!(lacks[0].digest.is_none() && lacks[0].fetched.is_none());

    let (fetched, lacks) = complete_tag(&world, "new", false).await;
    assert_eq!((fetched.missing as usize, fetched.left), (1 + image.blobs.len(), 0));
    assert_eq!(lacks[0].digest.as_ref(), Some(&image.digest));

    // The others of a list are still fetched.
    let (absent, lacks) = complete_tag(&world, "absent", false).await;
    assert_eq!((absent.missing, absent.left), (1, 1));
    assert!(matches!(&lacks[0].fetched, Some(Err(_))), "{lacks:?}");
}

/// Fails if a site that is about to go offline is told that it has what the store did not take.
#[tokio::test]
async fn what_a_full_store_does_not_take_is_lacking() {
    let driver = FailingDriver::new();
    let world = World::with(|_, setup| setup.driver = Arc::new(driver.clone())).await;
    world.upstream.image("app", "new", &[b"one"]);
    driver.be(Misbehaviour::IsFull);
    let (full, lacks) = complete_tag(&world, "new", false).await;
    assert_eq!((full.missing, full.left), (1, 1), "{lacks:?}");
    assert!(matches!(&lacks[0].fetched, Some(Err(CacheError::NotStored(_)))), "{lacks:?}");
    driver.behave();
    world.manifest("new").await.expect(200);
    driver.be(Misbehaviour::IsFull);
    let (full, lacks) = complete_tag(&world, "new", false).await;
    assert_eq!((full.missing, full.left), (2, 2), "{lacks:?}");
    let reason = lacks[0].fetched.as_ref().unwrap().as_ref().unwrap_err().to_string();
    assert!(reason.contains("the store is full"), "{reason}");
    driver.behave();
    // Transfers that the store did not take continue for those who read them.
    world.settle().await;
    let (whole, lacks) = complete_tag(&world, "new", false).await;
    assert_eq!((whole.missing, whole.left), (2, 0), "{lacks:?}");
}

/// Fails if a layer that a disk has cut off is taken for one that is here.
#[tokio::test]
async fn a_layer_that_is_cut_off_is_fetched_again() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"content of a layer"]);
    world.manifest("latest").await.expect(200);
    for blob in &image.blobs {
        world.blob(blob).await.expect(200);
    }
    let layer = &image.blobs[1];
    let data = format!("/docker/registry/v2/blobs/sha256/{}/{}/data", &layer.hex()[..2], layer.hex());
    let cut = Bytes::from_static(b"content");
    let driver = world.server.driver();
    driver.put_content(&data.parse().unwrap(), cut, PutMode::Overwrite).await.unwrap();
    let (completion, lacks) = complete(&world, false).await;
    assert_eq!((completion.missing, completion.left), (1, 0), "{lacks:?}");
    assert_eq!(world.blob(layer).await.expect(200).body, "content of a layer");
}

/// Fails if one bad image keeps the others from being fetched: after three broken connections the upstream counts as away.
#[tokio::test]
async fn a_bad_image_leaves_the_others_to_be_fetched() {
    let world = World::new().await;
    let layers: Vec<Vec<u8>> = (0..8_u8).map(|number| vec![number; 9]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let bad = world.upstream.image("app", "a-bad", &layers);
    world.upstream.image("app", "b-good", &[b"one"]);
    world.upstream.image("app", "c-good", &[b"two"]);
    for tag in ["a-bad", "b-good", "c-good"] {
        world.manifest(tag).await.expect(200);
    }
    let lost = bad.blobs.clone();
    world.upstream.script(move |seen, honest| {
        match lost.iter().any(|blob| seen.path().ends_with(&blob.to_string())) {
            true => Reply::broken(),
            false => honest,
        }
    });
    let (completion, lacks) = complete(&world, false).await;
    let left: Vec<_> = lacks.iter().filter(|lack| !matches!(lack.fetched, Some(Ok(())))).collect();
    assert!(left.iter().all(|lack| lack.tag.as_str() == "a-bad"), "{left:?}");
    assert_eq!(
        (completion.missing as usize, completion.left as usize),
        (bad.blobs.len() + 4, bad.blobs.len())
    );
}

/// Fails if each image waits for an upstream that is away.
#[tokio::test]
async fn completing_ends_although_the_upstream_stays_away() {
    let world = World::new().await;
    for number in 0..30 {
        let tag = number.to_string();
        world.upstream.image("app", &tag, &[tag.as_bytes()]);
        world.manifest(&tag).await.expect(200);
    }
    world.upstream.answer_all(Reply::broken());
    let began = world.clock.elapsed();
    let (completion, _) = complete(&world, false).await;
    assert_eq!((completion.missing, completion.left), (60, 60));
    assert!(world.clock.elapsed() - began < Duration::from_secs(20 * 60));
    // It is tried again by the next.
    world.upstream.behave();
    let (completion, lacks) = complete(&world, false).await;
    assert_eq!((completion.missing, completion.left), (60, 0), "{lacks:?}");
}

#[tokio::test]
async fn only_names_of_the_default_upstream_hide_repositories() {
    let clock = Default::default();
    let caches = caches(vec![settings("up", "http://127.0.0.1:1", &clock)], Some("up"));
    let hides = |name: &str| caches.hides(&name.parse::<RepositoryName>().unwrap());
    assert!(hides("app") && hides("a/b"));
    assert!(!hides("team/app") && !hides("up/app"));

    let server = Server::new();
    for name in ["app", "team/app", "up/app"] {
        server.push_image(name, "latest", "seed").await;
    }
    let hidden = server.registry.catalog_of(None, 10, |name| caches.hides(name)).await.unwrap();
    assert_eq!(hidden.items, ["app"]);
}

/// Like a client that had the layers already.
#[tokio::test]
async fn layers_that_a_client_skipped_are_fetched_later() {
    let hour = std::time::Duration::from_secs(60 * 60);
    let world = World::with(|settings, _| settings.complete = hour).await;
    let image = world.upstream.image("app", "latest", &[b"one", b"two"]);
    let pulled = world.clock.elapsed();
    world.manifest("latest").await.expect(200);
    let name: RepositoryName = "up/app".parse().unwrap();
    let blobs = world.server.registry.repository(name).blobs();
    for blob in &image.blobs {
        while blobs.stat_and_lease(blob).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert!(world.clock.elapsed() >= pulled + hour);
    // A cached manifest is not completed again.
    world.upstream.requests();
    world.manifest(&image.digest).await.expect(200);
    world.settle().await;
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_layer_that_the_upstream_does_not_give_leaves_the_others_to_be_fetched() {
    let hour = std::time::Duration::from_secs(60 * 60);
    let world = World::with(|settings, _| settings.complete = hour).await;
    let image = world.upstream.image("app", "latest", &[b"one", b"two"]);
    world.upstream.lose_blob("app", &image.blobs[0]);
    world.manifest("latest").await.expect(200);
    let blobs = world.server.registry.repository("up/app".parse().unwrap()).blobs();
    for blob in &image.blobs[1..] {
        while blobs.stat_and_lease(blob).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert!(blobs.stat_and_lease(&image.blobs[0]).await.is_err());
}

#[tokio::test]
async fn without_the_key_nothing_is_fetched_that_no_client_wants() {
    let world = World::new().await;
    world.upstream.image("app", "latest", &[b"one"]);
    let other = world.upstream.image("app", "other", &[b"two"]);
    world.manifest("latest").await.expect(200);
    // While this is pulled, a task that fetches the blobs of the first would run too.
    world.manifest("other").await.expect(200);
    let wanted = &other.blobs[1];
    world.blob(wanted).await.expect(200);
    let requests = world.upstream.requests();
    let blobs: Vec<&String> = requests.iter().filter(|request| request.contains("/blobs/")).collect();
    assert_eq!(blobs, [&format!("GET /v2/app/blobs/{wanted}")]);
}
