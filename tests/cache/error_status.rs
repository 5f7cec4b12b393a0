//! `Cache-Status` of errors: whether the upstream was asked, and what it said.

use std::sync::Arc;
use std::time::Duration;

use sampan_cache::{UpstreamSettings, WhenGone};
use sampan_client::Credentials;
use sampan_driver::ErrorKind;

use super::support::{World, impatient, with_account};
use crate::support::FailingDriver;
use crate::support::failing_driver::Misbehaviour;
use crate::support::hostile_server::{Gate, Reply};
use crate::support::image::noise;
use crate::support::upstream::{Login, error};

const UNKNOWN_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The paths of content that no cache has.
fn absent() -> [(&'static str, String); 6] {
    let manifest = |reference: &str| format!("/v2/up/app/manifests/{reference}");
    let blob = format!("/v2/up/app/blobs/{UNKNOWN_DIGEST}");
    [
        ("GET", manifest("absent")),
        ("HEAD", manifest("other")),
        ("GET", manifest(UNKNOWN_DIGEST)),
        ("GET", blob.clone()),
        ("HEAD", blob),
        ("GET", "/v2/up/app/tags/list".to_owned()),
    ]
}

/// Asks for what is not stored, while the upstream answers so.
async fn check(change: fn(&mut UpstreamSettings), reply: Reply, status: u16, expected: &str) {
    for (method, path) in absent() {
        let world = World::with(|upstream, _| change(upstream)).await;
        world.upstream.answer_all(reply.clone());
        let answer = world.call(method, &path).await.expect(status);
        assert_eq!(answer.header("cache-status"), expected, "{method} {path}");
    }
}

fn same(_: &mut UpstreamSettings) {}

#[tokio::test]
async fn an_error_of_the_upstream_has_its_status() {
    let denied = "sampan; fwd=uri-miss; fwd-status=403; detail=account-refused";
    for (change, status, ours, expected) in [
        (same as fn(&mut UpstreamSettings), 404, 404, "sampan; fwd=uri-miss; fwd-status=404"),
        (same, 401, 404, "sampan; fwd=uri-miss; fwd-status=401"),
        (same, 403, 404, "sampan; fwd=uri-miss; fwd-status=403"),
        (with_account, 403, 502, denied),
        (same, 418, 502, "sampan; fwd=uri-miss; fwd-status=418"),
        (same, 429, 429, "sampan; fwd=uri-miss; fwd-status=429"),
        (same, 500, 502, "sampan; fwd=uri-miss; fwd-status=500"),
        (same, 503, 502, "sampan; fwd=uri-miss; fwd-status=503"),
        (same, 504, 504, "sampan; fwd=uri-miss; fwd-status=504"),
    ] {
        check(change, error(status, "UNKNOWN"), ours, expected).await;
    }
}

#[tokio::test]
async fn an_upstream_without_a_good_answer_has_its_fault() {
    let inside = "http://169.254.169.254/";
    let realm = format!(r#"Bearer realm="{inside}token""#);
    for (change, reply, ours, expected) in [
        (
            same as fn(&mut UpstreamSettings),
            Reply::broken(),
            502,
            "sampan; fwd=uri-miss; detail=broken-connection",
        ),
        (impatient, Reply::new(200).behind(&Gate::new()), 504, "sampan; fwd=uri-miss; detail=timeout"),
        (
            same,
            Reply::new(307).header("Location", inside),
            502,
            "sampan; fwd=uri-miss; detail=refused-redirect",
        ),
        (
            same,
            error(401, "UNAUTHORIZED").header("WWW-Authenticate", realm),
            502,
            "sampan; fwd=uri-miss; fwd-status=401; detail=refused-realm",
        ),
    ] {
        check(change, reply, ours, expected).await;
    }
    let world = World::new().await;
    world.upstream.answer_all(Reply::new(200).json(r#"{"login":"here"}"#));
    let answer = world.manifest("absent").await.expect(502);
    assert_eq!(answer.header("cache-status"), "sampan; fwd=uri-miss; detail=invalid-answer");
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let answer = world.manifest(&image.digest).await.expect(502);
    assert_eq!(answer.header("cache-status"), "sampan; fwd=uri-miss; fwd-status=200; detail=wrong-digest");

    let world = World::new().await;
    world.upstream.script(|seen, _| match seen.path() {
        "/token" => error(500, "UNKNOWN"),
        _ => error(401, "UNAUTHORIZED").header(
            "WWW-Authenticate",
            format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap()),
        ),
    });
    let answer = world.manifest("absent").await.expect(502);
    assert_eq!(answer.header("cache-status"), "sampan; fwd=uri-miss; detail=no-token");
}

/// Fails if an answer from memory looks like one of the upstream.
#[tokio::test]
async fn what_is_remembered_is_a_hit() {
    for path in ["manifests/absent", &format!("manifests/{UNKNOWN_DIGEST}"), "tags/list"] {
        let world = World::new().await;
        for expected in ["sampan; fwd=uri-miss; fwd-status=404", "sampan; hit; detail=not-found"] {
            let answer = world.get(format!("/v2/up/app/{path}")).await.expect(404);
            assert_eq!(answer.header("cache-status"), expected, "{path}");
        }
    }
    let world = World::new().await;
    let content = noise(100_000);
    let blob = world.upstream.blob("app", content.clone());
    world.upstream.answer_all(Reply::new(200).body([&content[1..], b"x"].concat()));
    let path = format!("/v2/up/app/blobs/{blob}");
    // It breaks off, unless the transfer has ended before.
    if let Ok(answer) = world.server.call("GET", &path).try_send().await {
        let expected = "sampan; fwd=uri-miss; fwd-status=200; detail=wrong-digest";
        assert_eq!(answer.expect(502).header("cache-status"), expected);
    }
    world.settle().await;
    let answer = world.get(path).await.expect(502);
    assert_eq!(answer.header("cache-status"), "sampan; hit; detail=wrong-digest");
}

#[tokio::test]
async fn an_upstream_that_is_not_asked_has_the_reason() {
    for (method, path) in absent() {
        let world = World::new().await;
        world.caches.set_offline(true);
        let answer = world.call(method, &path).await.expect(404);
        assert_eq!(answer.header("cache-status"), "sampan; detail=offline", "{method} {path}");

        let world = World::with(|upstream, _| upstream.allowed = Arc::new(|_| false)).await;
        let answer = world.call(method, &path).await.expect(404);
        assert_eq!(answer.header("cache-status"), "sampan; detail=not-allowed", "{method} {path}");

        let world = World::new().await;
        world.upstream.answer_all(Reply::broken());
        for _ in 0..3 {
            world.call(method, &path).await.expect(502);
        }
        let answer = world.call(method, &path).await.expect(502);
        assert_eq!(answer.header("cache-status"), "sampan; detail=away", "{method} {path}");

        let driver = FailingDriver::new();
        driver.be(Misbehaviour::Fails(ErrorKind::Unavailable));
        let world = World::with(|_, setup| setup.driver = Arc::new(driver)).await;
        let answer = world.call(method, &path).await;
        // A list of tags is the upstream's.
        if answer.status == 503 {
            assert_eq!(answer.header("cache-status"), "sampan; detail=store-failed", "{method} {path}");
        } else {
            assert!(path.ends_with("/tags/list"), "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_stored_tag_that_may_not_be_served_is_stale() {
    let too_old = |upstream: &mut UpstreamSettings| upstream.tags.stale = Some(Duration::from_secs(40));
    let revoked = |upstream: &mut UpstreamSettings| {
        with_account(upstream);
        upstream.tags.refused = WhenGone::Forget;
    };
    for (change, status, ours, expected) in [
        (too_old as fn(&mut UpstreamSettings), 500, 502, "sampan; fwd=stale; fwd-status=500"),
        (revoked, 403, 404, "sampan; fwd=stale; fwd-status=403; detail=account-refused"),
    ] {
        let world = World::with(|upstream, _| change(upstream)).await;
        world.upstream.image("app", "latest", &[b"one"]);
        world.manifest("latest").await.expect(200);
        world.clock.advance(Duration::from_secs(60));
        world.upstream.answer_all(error(status, "UNKNOWN"));
        let answer = world.manifest("latest").await.expect(ours);
        assert_eq!(answer.header("cache-status"), expected);
    }
}

/// Fails if each request for a name that the account may not see, such as a mistyped one, is passed on.
#[tokio::test]
async fn a_refusal_of_the_account_is_remembered_as_long_as_a_missing_manifest() {
    let world = World::with(|upstream, _| with_account(upstream)).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let (tag, digest) = ("latest".to_owned(), image.digest.to_string());
    for reference in [&tag, &digest] {
        world.upstream.answer_all(error(403, "DENIED"));
        world.manifest(reference).await.expect_error(502, "DENIED");
        world.upstream.requests();
        for method in ["GET", "HEAD", "GET"] {
            let path = format!("/v2/up/app/manifests/{reference}");
            let answer = world.call(method, path).await.expect(502);
            assert_eq!(answer.header("cache-status"), "sampan; hit; detail=account-refused");
        }
        assert_eq!(world.upstream.requests(), [""; 0], "{reference}");
        world.upstream.behave();
        world.clock.advance(Duration::from_secs(30));
        world.head(format!("/v2/up/app/manifests/{reference}")).await.expect(200);
    }
}

/// Fails if what the upstream shows only to others counts as a refusal of an account that there is not.
#[tokio::test]
async fn a_file_of_accounts_without_one_for_the_upstream_is_no_account() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    std::fs::write(&file, r#"{"auths":{"other.example":{"auth":"cm9ib3Q6aHVudGVyMg=="}}}"#).unwrap();
    for status in [401, 403] {
        let world = World::with(|upstream, _| {
            upstream.client.credentials = Credentials::files(vec![file.clone()]);
            upstream.tags.deleted = WhenGone::Keep;
            upstream.tags.refused = WhenGone::Forget;
        })
        .await;
        world.upstream.image("app", "latest", &[b"one"]);
        world.upstream.want(Login::AnonymousToken);
        world.manifest("latest").await.expect(200);
        world.clock.advance(Duration::from_secs(60));
        world.upstream.answer_all(error(status, "DENIED"));
        let answer = world.manifest("absent").await;
        assert_eq!(answer.header("cache-status"), format!("sampan; fwd=uri-miss; fwd-status={status}"));
        answer.expect_error(404, "MANIFEST_UNKNOWN");
        world.get(format!("/v2/up/app/blobs/{UNKNOWN_DIGEST}")).await.expect_error(404, "BLOB_UNKNOWN");
        world.manifest("latest").await.expect(200);
    }
}
