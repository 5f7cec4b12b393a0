//! `platforms`: some children of an index.

use sampan_sync::Job;

use super::support::{copy_of_app, pull};
use crate::cache::support::World;
use crate::support::upstream::Image;

fn push(world: &World) -> Image {
    let upstream = &world.upstream;
    let images: Vec<Image> = ["amd64", "arm64"]
        .map(|name| {
            let image = upstream.image("app", name, &[b"common", name.as_bytes()]);
            upstream.untag("app", name);
            image
        })
        .into();
    upstream.index("app", "1.0", &[("linux/amd64", &images[0]), ("linux/arm64", &images[1])])
}

fn only(platforms: &[&str]) -> Job {
    let mut job = copy_of_app();
    job.repositories[0].platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
    job
}

#[tokio::test]
async fn only_the_images_of_the_platforms_are_copied_and_the_index_stays_as_it_is() {
    let world = World::new().await;
    let index = push(&world);
    world.whole(&only(&["linux/amd64"])).await;
    let asked = world.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains(&index.blobs[1].to_string())), "{asked:?}");
    world.caches.set_offline(true);
    assert_eq!(pull(&world.server, "copy", "1.0", &[&index.blobs[1]]).await, index.digest);
    assert_eq!(world.tag("copy", &index.blobs[1].to_string()).await, None);
}

#[tokio::test]
async fn a_later_run_with_one_more_platform_fetches_the_rest() {
    let world = World::new().await;
    let index = push(&world);
    let first = world.whole(&only(&["linux/amd64"])).await;
    world.upstream.requests();
    let second = world.whole(&only(&["linux/amd64", "linux/arm64"])).await;
    assert_eq!((first.blobs, second.blobs, second.copied), (3, 2, 1));
    let asked = world.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains(&index.blobs[0].to_string())), "{asked:?}");
    assert!(!asked.contains(&format!("GET /v2/app/manifests/{}", index.digest)), "{asked:?}");
    world.assert_pullable("copy", "1.0").await;
    // All of them is the same again.
    let third = world.whole(&copy_of_app()).await;
    assert_eq!((third.copied, third.unchanged), (0, 1));
}

#[tokio::test]
async fn fewer_platforms_later_remove_nothing() {
    let world = World::new().await;
    push(&world);
    world.whole(&copy_of_app()).await;
    let report = world.whole(&only(&["linux/arm64"])).await;
    assert_eq!((report.copied, report.unchanged), (0, 1));
    world.assert_pullable("copy", "1.0").await;
}

#[tokio::test]
async fn an_index_without_the_platform_is_named_and_not_copied() {
    let world = World::new().await;
    push(&world);
    let other = world.upstream.image("app", "2.0", &[b"two"]);
    let report = world.sync(&only(&["windows/amd64"])).await;
    assert_eq!((report.failed, report.copied), (1, 1), "an image without an index is for any: {report:?}");
    let failures = super::support::failures(&report);
    assert!(failures[0].starts_with("copy:1.0: ") && failures[0].contains("windows/amd64"), "{failures:?}");
    assert_eq!(world.tag("copy", "1.0").await, None);
    assert_eq!(world.tag("copy", "2.0").await, Some(other.digest.to_string()));
}

/// The cache fetches the others when a client wants them.
#[tokio::test]
async fn the_cache_has_the_others_from_the_upstream() {
    let world = World::new().await;
    push(&world);
    let mut job = only(&["linux/amd64"]);
    job.repositories[0].to = None;
    world.whole(&job).await;
    pull(&world.server, "up/app", "1.0", &[]).await;
    world.settle().await;
    world.assert_pullable("up/app", "1.0").await;
}
