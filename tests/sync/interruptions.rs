//! Runs that are dropped, and continued.

use std::sync::Arc;

use futures::future::{Either, select};
use sampan_sync::{Running, run};

use super::support::{copy_of_app, options};
use crate::cache::support::World;
use crate::support::hostile_server::{Gate, Seen};

/// Runs a job until the request for which `holds` is true has arrived so often, and drops it then.
async fn dropped_at(world: &World, count: usize, holds: impl Fn(&Seen) -> bool + Send + Sync + 'static) {
    let gate = Gate::new();
    let held = gate.clone();
    gate.open(count - 1);
    world.upstream.script(move |seen, honest| match holds(seen) {
        true => honest.behind(&held),
        false => honest,
    });
    let job = copy_of_app();
    let running = Running::default();
    {
        let work = run(&job, &world.caches, &world.server.registry, options(), &running, &|_| {});
        let arrived = gate.wait_for(count);
        match select(std::pin::pin!(work), std::pin::pin!(arrived)).await {
            Either::Left(_) => panic!("it ended before: {:?}", running.report()),
            Either::Right(_) => {}
        }
    }
    gate.open_for_all();
    world.upstream.behave();
}

#[tokio::test]
async fn a_run_that_is_dropped_within_an_image_leaves_no_tag_and_the_next_reads_what_is_missing() {
    let world = World::new().await;
    let image = world.upstream.image("app", "1.0", &[b"one", b"two", b"three"]);
    // Three blobs are transferred at a time; the fourth is asked for when one of them is stored.
    let is_blob = |seen: &Seen| seen.path().contains("/blobs/");
    dropped_at(&world, 4, is_blob).await;
    assert_eq!(world.tag("copy", "1.0").await, None);
    world.upstream.requests();
    world.whole(&copy_of_app()).await;
    let asked = world.upstream.requests();
    let blobs = asked.iter().filter(|request| request.contains("/blobs/")).count();
    assert!(blobs < image.blobs.len(), "{asked:?}");
    world.assert_pullable("copy", "1.0").await;
}

#[tokio::test]
async fn a_run_that_is_dropped_after_an_image_leaves_that_one_whole() {
    let world = World::new().await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    let is_second = |seen: &Seen| seen.method == "HEAD" && seen.path().ends_with("/manifests/b");
    dropped_at(&world, 1, is_second).await;
    world.assert_pullable("copy", "a").await;
    assert_eq!(world.tag("copy", "b").await, None);
    world.upstream.requests();
    let report = world.whole(&copy_of_app()).await;
    assert_eq!((report.copied, report.unchanged, report.blobs), (2, 1, 4));
    let asked = world.upstream.requests();
    assert_eq!(asked.iter().filter(|request| request.starts_with("GET /v2/app/manifests/")).count(), 2);
}

/// Wherever a run is dropped, a tag names a whole image, the old one or the new one.
#[tokio::test]
async fn no_tag_ever_names_an_image_that_is_not_whole() {
    let sentences = Arc::new(["old", "new"]);
    let mut requests = 0;
    loop {
        requests += 1;
        let world = World::new().await;
        let push = |what: &str| {
            let child = world.upstream.image("app", "child", &[what.as_bytes(), b"common"]);
            world.upstream.untag("app", "child");
            world.upstream.index("app", "1.0", &[("linux/amd64", &child)])
        };
        let old = push(sentences[0]);
        world.whole(&copy_of_app()).await;
        let new = push(sentences[1]);
        world.upstream.requests();
        let gate = Gate::new();
        gate.open(requests - 1);
        let held = gate.clone();
        world.upstream.script(move |_, honest| honest.behind(&held));
        let (job, running) = (copy_of_app(), Running::default());
        let has_ended = {
            let work = run(&job, &world.caches, &world.server.registry, options(), &running, &|_| {});
            let arrived = gate.wait_for(requests);
            matches!(select(std::pin::pin!(work), std::pin::pin!(arrived)).await, Either::Left(_))
        };
        gate.open_for_all();
        world.upstream.behave();
        let tag = world.tag("copy", "1.0").await.unwrap();
        assert!(tag == old.digest.to_string() || tag == new.digest.to_string() && has_ended, "{requests}");
        world.assert_pullable("copy", "1.0").await;
        world.whole(&copy_of_app()).await;
        assert_eq!(world.tag("copy", "1.0").await, Some(new.digest.to_string()));
        if has_ended {
            break;
        }
    }
    assert!(requests > 6, "{requests}");
}
