//! Answers that never end: they have a time, after which others have their places.

use std::time::Duration;

use sampan_client::Timeouts;
use sampan_engine::oci::Digest;

use super::support::World;
use crate::support::Answer;
use crate::support::hostile_server::{Reply, Seen};
use crate::support::image::noise;
use crate::support::upstream::Login;

const ANSWER: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);
/// How many requests have a place beside transfers.
const PLACES: usize = 4;

/// A world that gives an answer a short time, with a stored tag; requests for `slow` have the answer of `script`.
async fn world(script: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static) -> World {
    let world = World::with(|upstream, _| {
        upstream.tags.fresh = Duration::ZERO;
        upstream.client.timeouts = Timeouts { answer: ANSWER, stall: STALL, ..Timeouts::default() };
    })
    .await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.upstream.script(move |seen, honest| match seen.target.contains("slow") {
        true => script(seen, honest),
        false => honest,
    });
    world
}

/// Asks for all the paths at once, and then for the stored tag, which is served although the others had all places.
async fn assert_others_are_served(world: &World, slow: &[String]) -> Vec<Answer> {
    let slow = futures::future::join_all(slow.iter().map(|path| world.get(path)));
    let (slow, stored) = futures::join!(slow, world.manifest("latest"));
    stored.expect(200);
    // It is not away.
    let confirmed = world.manifest("latest").await.expect(200);
    assert!(confirmed.header("cache-status").contains("unchanged"), "{confirmed:?}");
    slow
}

fn assert_too_slow(answers: Vec<Answer>) {
    for answer in answers {
        let answer = answer.expect_error(504, "UNAVAILABLE");
        let status = answer.header("cache-status");
        assert!(["sampan; fwd=uri-miss; detail=timeout", "sampan; detail=queue-timeout"].contains(&status));
    }
}

/// Fails if only the pauses within an answer have a bound.
#[tokio::test]
async fn a_manifest_that_comes_byte_by_byte_ends_in_time() {
    let world = world(|_, _| Reply::new(200).body(noise(100_000)).byte_by_byte(PAUSE)).await;
    let digest = |number: usize| Digest::sha256_of(&number.to_le_bytes());
    let paths: Vec<_> =
        (0..2 * PLACES).map(|number| format!("/v2/up/slow/manifests/{}", digest(number))).collect();
    assert_too_slow(assert_others_are_served(&world, &paths).await);
}

#[tokio::test]
async fn a_token_that_comes_byte_by_byte_ends_in_time() {
    let world = world(|seen, honest| match seen.path() {
        "/token" => Reply::new(200).body(noise(100_000)).byte_by_byte(PAUSE),
        _ => honest,
    })
    .await;
    world.upstream.want(Login::AnonymousToken);
    let paths: Vec<_> =
        (0..2 * PLACES).map(|number| format!("/v2/up/slow{number}/manifests/latest")).collect();
    assert_too_slow(assert_others_are_served(&world, &paths).await);
}

#[tokio::test]
async fn a_list_without_a_last_page_ends_in_time() {
    let world = world(|seen, _| {
        let page: u64 = seen.query("page").first().map_or(0, |page| page.parse().unwrap());
        let next = format!("<{}?page={}>; rel=\"next\"", seen.path(), page + 1);
        Reply::new(200).header("Link", next).json(r#"{"tags":[]}"#).after(PAUSE / 2)
    })
    .await;
    let paths: Vec<_> = (0..2 * PLACES).map(|number| format!("/v2/up/slow{number}/tags/list")).collect();
    assert_too_slow(assert_others_are_served(&world, &paths).await);
}

#[tokio::test]
async fn the_offline_switch_ends_a_list() {
    let world = World::new().await;
    world.upstream.script(|seen, _| {
        let page: u64 = seen.query("page").first().map_or(0, |page| page.parse().unwrap());
        let next = format!("<{}?page={}>; rel=\"next\"", seen.path(), page + 1);
        Reply::new(200).header("Link", next).json(r#"{"tags":[]}"#)
    });
    let listing = async { world.get("/v2/up/app/tags/list").await };
    let switch = async {
        while world.upstream.seen().len() < 3 {
            tokio::task::yield_now().await;
        }
        world.caches.set_offline(true);
    };
    let (listed, ()) = futures::join!(listing, switch);
    assert_eq!(listed.expect(404).header("cache-status"), "sampan; detail=offline");
}

/// The body says nothing that the status does not.
#[tokio::test]
async fn an_error_whose_body_does_not_end_is_an_error() {
    for status in [404, 403] {
        let world = world(move |_, _| Reply::new(status).body(noise(10_000)).byte_by_byte(PAUSE)).await;
        let blobs = (0..2 * PLACES).map(|number| Digest::sha256_of(&number.to_le_bytes()));
        let paths: Vec<_> = blobs.map(|digest| format!("/v2/up/slow/blobs/{digest}")).collect();
        for answer in assert_others_are_served(&world, &paths).await {
            answer.expect(404);
        }
    }
}
