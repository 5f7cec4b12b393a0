//! An upstream that cannot be reached is left alone for a while.

use std::time::Duration;

use sampan_engine::oci::Digest;

use super::support::World;
use crate::support::hostile_server::Reply;
use crate::support::upstream::error;

const PAUSE: Duration = Duration::from_secs(5);

/// Fails without a breaker, and with one whose trial counts as refused itself.
#[tokio::test]
async fn after_three_broken_connections_stored_tags_cost_no_request_until_the_pause_is_over() {
    let world = World::with(|upstream, _| upstream.tags.fresh = Duration::ZERO).await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.upstream.requests();

    world.upstream.answer_all(Reply::broken());
    for _ in 0..5 {
        let answer = world.manifest("latest").await.expect(200);
        assert_eq!(answer.header("cache-status"), "sampan; hit; detail=stale");
    }
    assert_eq!(world.upstream.requests().len(), 3);
    let answer = world.manifest("other").await.expect_error(502, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(world.upstream.requests(), [""; 0]);

    // A single request tries again, and the pause doubles.
    world.clock.advance(PAUSE);
    for _ in 0..3 {
        world.manifest("latest").await.expect(200);
    }
    assert_eq!(world.upstream.requests().len(), 1);
    world.clock.advance(PAUSE);
    world.manifest("latest").await.expect(200);
    assert_eq!(world.upstream.requests().len(), 0);

    world.upstream.behave();
    world.clock.advance(PAUSE);
    for _ in 0..2 {
        let answer = world.manifest("latest").await.expect(200);
        assert!(answer.header("cache-status").contains("unchanged"), "{answer:?}");
    }
    assert_eq!(world.upstream.requests().len(), 2);
}

/// Fails if a transfer is not the trial, or if its trial is not counted.
#[tokio::test]
async fn a_transfer_finds_out_too_whether_the_upstream_is_back() {
    let world = World::new().await;
    let blob = world.upstream.blob("app", "content");
    world.upstream.answer_all(Reply::broken());
    for _ in 0..4 {
        world.blob(&blob).await.expect_error(502, "UNAVAILABLE");
    }
    assert_eq!(world.upstream.requests().len(), 3);
    world.upstream.behave();
    world.blob(&blob).await.expect_error(502, "UNAVAILABLE");
    world.clock.advance(PAUSE);
    world.blob(&blob).await.expect(200);
}

/// Fails if any answer counts as a failed connection: one broken repository would take all others away.
#[tokio::test]
async fn an_upstream_that_answers_is_not_away_whatever_it_says() {
    let world = World::new().await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.upstream.script(|seen, reply| match seen.path().contains("/broken/") {
        true => error(500, "UNKNOWN"),
        false => reply,
    });
    for _ in 0..5 {
        world.get("/v2/up/broken/manifests/latest").await.expect_error(502, "UNAVAILABLE");
    }
    world.manifest("latest").await.expect(200);
}

/// Fails if the faults of one repository count as those of the upstream: its answer cannot be read, breaks off, or leads to a
/// server that is not there.
#[tokio::test]
async fn faults_after_the_upstream_has_answered_do_not_make_it_away() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for faulty in [
        Reply::new(200).header("no name of a header", "value"),
        Reply::new(200).body("content").announcing(Some(100)).cut_after(3),
        Reply::new(307).header("Location", format!("http://{gone}/blob")),
    ] {
        let world = World::with(|upstream, _| upstream.tags.fresh = Duration::ZERO).await;
        world.upstream.image("app", "latest", &[b"one"]);
        world.manifest("latest").await.expect(200);
        world.upstream.script(move |seen, honest| match seen.path().contains("/faulty/") {
            true => faulty.clone(),
            false => honest,
        });
        let digests = (0..5_u8).map(|number| Digest::sha256_of(&[number]));
        for digest in digests {
            world.get(format!("/v2/up/faulty/manifests/{digest}")).await.expect_error(502, "UNAVAILABLE");
        }
        let answer = world.manifest("latest").await.expect(200);
        assert!(answer.header("cache-status").contains("unchanged"), "{answer:?}");
    }
}
