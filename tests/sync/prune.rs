//! `prune`: tags that are gone there go here.

use std::collections::BTreeSet;
use std::sync::Arc;

use sampan_engine::oci::Digest;
use sampan_sync::Job;

use super::support::{copy_of_app, failures, signature_tag, tags_with};
use crate::cache::support::World;
use crate::support::FailingDriver;
use crate::support::failing_driver::{Held, Misbehaviour};
use crate::support::hostile_server::Reply;

fn pruning() -> Job {
    let mut job = copy_of_app();
    job.repositories[0].prune = true;
    job
}

/// Copies `count` tags, each with its own image.
async fn mirrored(count: usize) -> World {
    let world = World::new().await;
    for number in 0..count {
        world.upstream.image("app", &number.to_string(), &[number.to_string().as_bytes()]);
    }
    world.whole(&pruning()).await;
    world
}

async fn tags(world: &World) -> BTreeSet<String> {
    let answer = world.server.call("GET", "/v2/copy/tags/list").send().await.expect(200);
    let tags = answer.json()["tags"].as_array().unwrap().clone();
    tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

fn set<'a>(tags: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    tags.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn tags_that_are_gone_there_go_here() {
    let world = mirrored(4).await;
    world.upstream.untag("app", "0");
    world.upstream.untag("app", "2");
    // Without `prune` they stay.
    world.whole(&copy_of_app()).await;
    assert_eq!(tags(&world).await.len(), 4);
    let report = world.whole(&pruning()).await;
    assert_eq!((report.removed_tags, report.unchanged), (2, 2));
    assert_eq!(tags(&world).await, set(["1", "3"]));
    assert_eq!(world.whole(&pruning()).await.removed_tags, 0);
}

/// A tag that this registry's own clients pushed is no tag of the upstream either.
#[tokio::test]
async fn tags_that_the_job_no_longer_wants_stay() {
    let world = mirrored(4).await;
    let mut job = pruning();
    job.repositories[0].tags = tags_with("1");
    assert_eq!(world.whole(&job).await.removed_tags, 0);
    assert_eq!(tags(&world).await.len(), 4);
}

#[tokio::test]
async fn never_more_than_half_of_the_tags_go() {
    let world = mirrored(5).await;
    for tag in ["0", "1", "2"] {
        world.upstream.untag("app", tag);
    }
    let report = world.sync(&pruning()).await;
    assert_eq!((report.failed, report.removed_tags, report.unchanged), (1, 0, 2), "{report:?}");
    assert!(failures(&report)[0].contains("3 of its 5 tags here"), "{report:?}");
    assert_eq!(tags(&world).await.len(), 5);
}

/// Fallback tags stay with their images, so they say nothing of how many tags are gone.
#[tokio::test]
async fn tags_that_attach_something_do_not_count_for_the_half() {
    let world = World::new().await;
    for tag in ["a", "b"] {
        let image = world.upstream.image("app", tag, &[tag.as_bytes()]);
        world.upstream.image("app", &signature_tag(&image.digest), &[b"cosign"]);
    }
    world.whole(&pruning()).await;
    world.upstream.image("app", "new", &[b"new"]);
    world.upstream.untag("app", "a");
    world.upstream.untag("app", "b");
    let report = world.sync(&pruning()).await;
    assert_eq!((report.removed_tags, report.failed, report.copied), (0, 1, 1), "{report:?}");
    assert!(tags(&world).await.is_superset(&set(["a", "b"])));
}

#[tokio::test]
async fn tags_that_attach_something_stay_as_long_as_their_subject() {
    let world = mirrored(4).await;
    let image = world.upstream.image("app", "3", &[b"signed"]);
    let signature = signature_tag(&image.digest);
    world.upstream.image("app", &signature, &[b"cosign"]);
    world.whole(&pruning()).await;
    world.upstream.untag("app", &signature);
    assert_eq!(world.whole(&pruning()).await.removed_tags, 0);
    assert!(tags(&world).await.contains(&signature));
    let path = format!("/v2/copy/manifests/{}", image.digest);
    world.server.call("DELETE", path).send().await.expect(202);
    world.upstream.untag("app", "3");
    assert_eq!(world.whole(&pruning()).await.removed_tags, 1);
    assert_eq!(tags(&world).await, set(["0", "1", "2"]));
}

#[tokio::test]
async fn nothing_goes_after_a_failure() {
    let world = mirrored(4).await;
    world.upstream.untag("app", "0");
    let broken = world.upstream.image("app", "1", &[b"new"]);
    world.upstream.lose_blob("app", &broken.blobs[1]);
    let report = world.sync(&pruning()).await;
    assert_eq!((report.failed, report.removed_tags), (1, 0), "{report:?}");
    assert_eq!(tags(&world).await.len(), 4);
    world.upstream.blob("app", "new");
    assert_eq!(world.whole(&pruning()).await.removed_tags, 1);
}

#[tokio::test]
async fn a_list_that_is_empty_or_no_list_removes_nothing() {
    for reply in [
        Reply::new(200).json(r#"{"name":"app","tags":[]}"#),
        Reply::new(200).json(r#"{"name":"app","tags":null}"#),
        Reply::new(200).json("{}"),
        Reply::new(200).json("[]"),
        Reply::new(200).json(r#"{"login":"http://portal"}"#),
        Reply::new(200).header("Content-Type", "text/html").body("<html>log in</html>"),
        Reply::new(404).body("no"),
        Reply::new(200).json(r#"{"name":"app","tags":["0"]}"#),
        Reply::new(200).json(r#"{"name":"app","tags":["0","1"]}"#).cut_after(10),
    ] {
        for is_exact in [true, false] {
            let world = mirrored(4).await;
            world.upstream.show_catalog();
            let script = reply.clone();
            world.upstream.script(move |seen, honest| match seen.path().contains("/tags/") {
                true => script.clone(),
                false => honest,
            });
            let mut job = pruning();
            job.repositories[0].is_exact = is_exact;
            let report = world.sync(&job).await;
            assert!(!report.is_whole() && report.removed_tags == 0, "{reply:?}: {report:?}");
            assert_eq!(tags(&world).await.len(), 4, "{reply:?}");
        }
    }
}

/// A tag that moves here while the job runs is a client's.
#[tokio::test]
async fn a_tag_that_moved_here_meanwhile_stays() {
    let (driver, held) = (FailingDriver::new(), Held::new());
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    for tag in ["0", "1", "2"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    world.whole(&pruning()).await;
    world.upstream.untag("app", "0");
    driver.be(Misbehaviour::HoldsTags("0", held.clone()));
    let job = pruning();
    let moved = async {
        held.reached().await;
        held.permits.add_permits(1);
        // The second read is that of the deletion, which compares.
        while held.begun() < 2 {
            tokio::task::yield_now().await;
        }
        driver.behave();
        let pushed = world.server.push_image("copy", "0", "pushed").await;
        held.permits.add_permits(1000);
        pushed
    };
    let (report, pushed) = futures::join!(world.whole(&job), moved);
    assert_eq!(report.removed_tags, 0, "{report:?}");
    assert_eq!(world.tag("copy", "0").await, Some(Digest::sha256_of(&pushed).to_string()));
}

#[tokio::test]
async fn nothing_goes_where_deletion_is_disabled() {
    let world = World::with(|_, setup| setup.limits.delete = false).await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    assert!(world.whole(&pruning()).await.removed_tags == 0);
    world.upstream.untag("app", "a");
    let report = world.sync(&pruning()).await;
    assert_eq!((report.removed_tags, tags(&world).await.len()), (0, 3), "{report:?}");
    assert!(report.stopped.is_some() || report.failed == 1, "{report:?}");
}

/// With other names there and here, and another repository of the same catalog.
#[tokio::test]
async fn only_repositories_of_the_job_are_pruned() {
    let world = mirrored(4).await;
    world.server.push_image("other", "0", "other").await;
    world.server.push_image("copy/below", "0", "other").await;
    world.upstream.untag("app", "0");
    assert_eq!(world.whole(&pruning()).await.removed_tags, 1);
    assert!(world.tag("other", "0").await.is_some() && world.tag("copy/below", "0").await.is_some());
}
