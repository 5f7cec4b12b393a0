//! Tags and manifests that are gone: at the upstream, or because a client deleted them here.

use std::time::Duration;

use sampan_cache::WhenGone;

use super::support::{World, with_account};
use crate::support::upstream::{Login, error};

const FRESH: Duration = Duration::from_secs(30);

/// Fails if a tag that the rule forgets comes back when the upstream is away.
#[tokio::test]
async fn a_forgotten_tag_stays_away_when_the_upstream_is_away() {
    let world = World::with(|upstream, setup| {
        upstream.tags.deleted = WhenGone::Forget;
        setup.limits.delete = false;
    })
    .await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.upstream.image("app", "other", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.manifest("other").await.expect(200);
    world.clock.advance(FRESH);
    world.upstream.script(move |seen, reply| match seen.path() {
        "/v2/app/manifests/latest" => error(404, "MANIFEST_UNKNOWN"),
        _ => reply,
    });
    world.manifest("latest").await.expect_error(404, "MANIFEST_UNKNOWN");
    world.upstream.answer_all(error(500, "UNKNOWN"));
    world.clock.advance(FRESH);
    world.manifest("latest").await.expect_error(502, "UNAVAILABLE");
    let listed = world.get("/v2/up/app/tags/list").await.expect(200);
    assert_eq!(listed.json()["tags"], serde_json::json!(["other"]));
    // The other tag, and what is asked for by its digest, are still here.
    world.manifest("other").await.expect(200);
    world.manifest(&image.digest).await.expect(200);
    // It comes back with the upstream.
    world.upstream.behave();
    world.clock.advance(FRESH);
    world.manifest("latest").await.expect(200);
}

/// Fails if an outage gives an account what was taken from it.
#[tokio::test]
async fn a_refused_tag_stays_away_when_the_upstream_is_away() {
    let world = World::with(|upstream, _| with_account(upstream)).await;
    world.upstream.want(Login::Token);
    world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    for reply in [error(403, "DENIED"), error(500, "UNKNOWN")] {
        world.clock.advance(FRESH);
        world.upstream.answer_all(reply);
        world.manifest("latest").await.expect_error(404, "MANIFEST_UNKNOWN");
        world.head("/v2/up/app/manifests/latest").await.expect(404);
    }
    world.caches.set_offline(true);
    world.manifest("latest").await.expect_error(404, "MANIFEST_UNKNOWN");
    world.caches.set_offline(false);
    world.upstream.behave();
    world.manifest("latest").await.expect(200);
    world.clock.advance(FRESH);
    world.upstream.answer_all(error(500, "UNKNOWN"));
    world.manifest("latest").await.expect(200);
}

#[tokio::test]
async fn what_a_client_deletes_is_fetched_again() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let (manifest, blob) = (&image.digest, &image.blobs[1]);
    world.manifest("latest").await.expect(200);
    world.blob(blob).await.expect(200);
    world.upstream.requests();
    world.call("DELETE", format!("/v2/up/app/blobs/{blob}")).await.expect(202);
    world.blob(blob).await.expect(200);
    world.call("DELETE", format!("/v2/up/app/manifests/{manifest}")).await.expect(202);
    world.manifest("latest").await.expect(200);
    let look = "HEAD /v2/app/manifests/latest".to_owned();
    let asked =
        [format!("GET /v2/app/blobs/{blob}"), look.clone(), format!("GET /v2/app/manifests/{manifest}")];
    assert_eq!(world.upstream.requests(), asked);
    // A tag that is deleted alone is compared again, too, however fresh it is, and stored.
    world.call("DELETE", "/v2/up/app/manifests/latest").await.expect(202);
    let moved = world.upstream.image("app", "latest", &[b"two"]);
    assert_eq!(world.manifest("latest").await.expect(200).body, moved.manifest);
    assert_eq!(world.upstream.requests(), [look, format!("GET /v2/app/manifests/{}", moved.digest)]);
    world.manifest("latest").await.expect(200);
    assert!(world.upstream.requests().is_empty());
    world.call("DELETE", "/v2/up/app/manifests/latest").await.expect(202);
    world.caches.set_offline(true);
    world.clock.advance(FRESH);
    world.manifest("latest").await.expect_error(404, "NAME_UNKNOWN");
    world.manifest(manifest).await.expect(200);
}

#[tokio::test]
async fn without_deletions_nothing_is_deleted() {
    let world = World::with(|_, setup| setup.limits.delete = false).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    for reference in ["latest".to_owned(), image.digest.to_string()] {
        let path = format!("/v2/up/app/manifests/{reference}");
        world.call("DELETE", &path).await.expect_error(405, "UNSUPPORTED");
        world.get(&path).await.expect(200);
    }
}

#[tokio::test]
async fn nothing_is_pushed_into_a_cache() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    let files = world.server.files().await;
    world.upstream.requests();
    let digest = &image.digest;
    for (method, path) in [
        ("POST", "/v2/up/app/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/up/app/blobs/uploads/?mount={digest}&from=team/app")),
        ("POST", format!("/v2/up/app/blobs/uploads/?digest={digest}")),
        ("PATCH", "/v2/up/app/blobs/uploads/x".to_owned()),
        ("PUT", format!("/v2/up/app/blobs/uploads/x?digest={digest}")),
        ("DELETE", "/v2/up/app/blobs/uploads/x".to_owned()),
        ("PUT", "/v2/up/app/manifests/latest".to_owned()),
        ("PUT", format!("/v2/app/manifests/{digest}?ns=up.example")),
    ] {
        let call = world.server.call(method, &path).body(image.manifest.clone());
        let answer = call.send().await.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), "GET, HEAD");
        assert!(answer.details()[0].as_str().unwrap().contains("cache of upstream up:"), "{answer:?}");
    }
    assert_eq!(world.server.files().await, files);
    assert_eq!(world.upstream.requests(), [""; 0]);
}

/// As in Distribution.
#[tokio::test]
async fn a_registry_that_is_nothing_but_a_cache_refuses_deletions_too() {
    let world = World::with(|upstream, _| upstream.prefix = None).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.get("/v2/app/manifests/latest").await.expect(200);
    for path in [
        "/v2/app/manifests/latest".to_owned(),
        format!("/v2/app/manifests/{}", image.digest),
        format!("/v2/app/blobs/{}", image.blobs[0]),
    ] {
        let answer = world.call("DELETE", &path).await.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), "GET, HEAD", "{path}");
    }
    world.get("/v2/app/manifests/latest").await.expect(200);
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_cache_that_has_it() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    let blob = &image.blobs[1];
    let mount = |from: &str| format!("/v2/team/app/blobs/uploads/?mount={blob}&from={from}");
    world.upstream.requests();
    // It is not here yet, and the client pushes it.
    world.call("POST", mount("up/app")).await.expect(202);
    assert_eq!(world.upstream.requests(), [""; 0]);
    world.blob(blob).await.expect(200);
    world.call("POST", mount("up/other")).await.expect(202);
    world.call("POST", mount("up/app")).await.expect(201);
    world.get(format!("/v2/team/app/blobs/{blob}")).await.expect(200);
    // It is there to stay.
    world.call("DELETE", format!("/v2/up/app/blobs/{blob}")).await.expect(202);
    world.get(format!("/v2/team/app/blobs/{blob}")).await.expect(200);
}

/// An upstream could name the digest of what it does not have.
#[tokio::test]
async fn data_of_an_ordinary_repository_or_of_another_upstream_are_not_linked_without_a_transfer() {
    let world = World::new().await;
    let blob = world.server.push_blob("team/secret", "the secret content").await;
    let manifest = crate::support::image::manifest(b"{}", b"the secret content").to_string();
    world.upstream.manifest(
        "app",
        "thief",
        "application/vnd.oci.image.manifest.v1+json",
        manifest.as_bytes(),
    );
    world.manifest("thief").await.expect(200);
    for method in ["HEAD", "GET"] {
        let path = format!("/v2/up/app/blobs/{blob}");
        world.call(method, &path).await.expect(404);
    }
    let files: Vec<_> = world.server.files().await;
    let links = files.iter().filter(|(path, _)| path.contains("/up/app/_layers/"));
    assert_eq!(links.count(), 0);
}
