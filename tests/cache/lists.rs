//! Tags, referrers and the catalog.

use std::time::Duration;

use futures::future::join_all;
use sampan_cache::WhenGone;
use serde_json::{Value, json};

use super::support::{World, with_account};
use crate::support::Answer;
use crate::support::hostile_server::{Gate, Reply};
use crate::support::upstream::{Login, error};

const FRESH: Duration = Duration::from_secs(30);

fn tags(answer: &Answer) -> Value {
    answer.json()["tags"].clone()
}

/// The path in a `Link`.
fn next(answer: &Answer) -> String {
    let link = answer.header("link");
    link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned()
}

fn digests(answer: &Answer) -> Vec<String> {
    let entries = answer.json()["manifests"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tags_are_those_of_the_upstream_in_one_request_for_all() {
    let world = World::new().await;
    for tag in ["b", "a", "C"] {
        world.upstream.image("app", tag, &[b"one"]);
    }
    let gate = Gate::new();
    let held = gate.clone();
    world.upstream.script(move |_, reply| reply.behind(&held));
    let open = async {
        gate.wait_for(1).await;
        gate.open_for_all();
    };
    let (answers, ()) = futures::join!(join_all((0..5).map(|_| world.get("/v2/up/app/tags/list"))), open);
    for answer in answers {
        assert_eq!(answer.expect(200).json(), json!({ "name": "up/app", "tags": ["C", "a", "b"] }));
    }
    world.get("/v2/up/app/tags/list?n=1").await.expect(200);
    assert_eq!(world.upstream.requests(), ["GET /v2/app/tags/list"]);
    world.clock.advance(FRESH);
    world.upstream.behave();
    world.upstream.image("app", "d", &[b"one"]);
    assert_eq!(tags(&world.get("/v2/up/app/tags/list").await.expect(200)), json!(["C", "a", "b", "d"]));
}

/// Fails if the link leaves out the registry that the client means, or names another repository.
#[tokio::test]
async fn pages_of_tags_follow_each_other_by_the_names_of_the_client() {
    let world = World::new().await;
    for tag in ["a", "b", "c", "d", "e"] {
        world.upstream.image("app", tag, &[b"one"]);
    }
    for (first, name) in [
        ("/v2/up/app/tags/list?n=2", "up/app"),
        ("/v2/app/tags/list?n=2&ns=up.example", "app"),
        ("/v2/app/tags/list?ns=UP.example:443&n=2", "app"),
    ] {
        let (mut path, mut seen) = (first.to_owned(), Vec::new());
        loop {
            let answer = world.get(&path).await.expect(200);
            assert_eq!(answer.json()["name"], name);
            seen.extend(tags(&answer).as_array().unwrap().clone());
            if !answer.has_header("link") {
                break;
            }
            path = next(&answer);
        }
        assert_eq!(json!(seen), json!(["a", "b", "c", "d", "e"]), "{first}");
        assert_eq!(path.contains("ns="), first.contains("ns="), "{path}");
    }
    assert_eq!(tags(&world.get("/v2/up/app/tags/list?n=0").await.expect(200)), json!([]));
    assert_eq!(tags(&world.get("/v2/up/app/tags/list?last=zz").await.expect(200)), json!([]));
    assert_eq!(world.upstream.requests(), ["GET /v2/app/tags/list"]);
}

/// Fails if an upstream's `Link` reaches a client.
#[tokio::test]
async fn the_pages_of_the_upstream_are_read_by_the_cache() {
    let world = World::new().await;
    world.upstream.script(|seen, _| match seen.query("last").first().map(String::as_str) {
        None => Reply::new(200)
            .header("Link", "</v2/app/tags/list?last=b&n=2>; rel=\"next\"")
            .json(r#"{"name":"app","tags":["a","b"]}"#),
        Some(_) => Reply::new(200).json(r#"{"name":"app","tags":["c","bad tag"]}"#),
    });
    let answer = world.get("/v2/up/app/tags/list").await.expect(200);
    assert_eq!(tags(&answer), json!(["a", "b", "c"]));
    assert!(!answer.has_header("link"));
    assert_eq!(world.upstream.requests().len(), 2);
}

#[tokio::test]
async fn while_the_upstream_is_away_the_stored_tags_are_listed() {
    let world = World::new().await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.upstream.image("app", "unseen", &[b"two"]);
    world.get("/v2/up/app/tags/list").await.expect(200);
    world.manifest("latest").await.expect(200);
    for reply in [
        Reply::broken(),
        error(500, "UNKNOWN"),
        error(429, "TOOMANYREQUESTS"),
        error(404, "NAME_UNKNOWN"),
        error(401, "UNAUTHORIZED"),
        Reply::new(200).body("<html>"),
        Reply::new(200).json("{}"),
    ] {
        world.clock.advance(FRESH);
        world.upstream.answer_all(reply);
        let answer = world.get("/v2/up/app/tags/list").await.expect(200);
        assert_eq!(tags(&answer), json!(["latest"]));
        assert_eq!(answer.header("cache-status"), "sampan; hit; detail=stale");
    }
    world.upstream.answer_all(error(404, "NAME_UNKNOWN"));
    world.get("/v2/up/other/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    world.upstream.answer_all(error(500, "UNKNOWN"));
    world.get("/v2/up/third/tags/list").await.expect_error(502, "UNAVAILABLE");
}

/// Fails if lists show what the tags themselves do not.
#[tokio::test]
async fn a_refused_account_and_forgotten_tags_have_no_list() {
    let world = World::with(|upstream, _| {
        with_account(upstream);
        upstream.tags.deleted = WhenGone::Forget;
    })
    .await;
    world.upstream.want(Login::Token);
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.upstream.attach("app", &image, "a/b");
    world.manifest("latest").await.expect(200);
    let referrers = format!("/v2/up/app/referrers/{}", image.digest);
    let attached = digests(&world.get(&referrers).await.expect(200));
    world.manifest(&attached[0]).await.expect(200);
    world.clock.advance(FRESH);
    world.upstream.answer_all(error(403, "DENIED"));
    world.get("/v2/up/app/tags/list").await.expect_error(502, "DENIED");
    world.get(&referrers).await.expect_error(502, "DENIED");
    world.clock.advance(FRESH);
    world.upstream.answer_all(error(404, "NAME_UNKNOWN"));
    world.get("/v2/up/app/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    world.clock.advance(FRESH);
    world.upstream.answer_all(error(500, "UNKNOWN"));
    assert_eq!(tags(&world.get("/v2/up/app/tags/list").await.expect(200)), json!(["latest"]));
    assert_eq!(digests(&world.get(&referrers).await.expect(200)), attached);
}

#[tokio::test]
async fn referrers_are_those_of_the_upstream_filtered_and_in_pages() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let mut all: Vec<_> = ["a/1", "a/2", "b/1", "b/2"]
        .map(|kind| world.upstream.attach("app", &image, kind).to_string())
        .into();
    let wanted = all[2].clone();
    all.sort();
    let path = format!("/v2/app/referrers/{}?ns=up.example", image.digest);
    let answer = world.get(&path).await.expect(200);
    assert_eq!(digests(&answer), all);
    assert_eq!(answer.header("content-type"), "application/vnd.oci.image.index.v1+json");
    let filtered = world.get(format!("{path}&artifactType=b/1")).await.expect(200);
    assert_eq!(digests(&filtered), [wanted]);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let (mut path, mut seen) = (format!("{path}&n=3"), Vec::new());
    loop {
        let answer = world.get(&path).await.expect(200);
        seen.extend(digests(&answer));
        if !answer.has_header("link") {
            break;
        }
        path = next(&answer);
        assert!(path.contains("ns=up.example") && path.starts_with("/v2/app/"), "{path}");
    }
    assert_eq!(seen, all);
    assert_eq!(world.upstream.requests(), [format!("GET /v2/app/referrers/{}", image.digest)]);
    // While it is away, those that were pulled.
    world.manifest(&image.digest).await.expect(200);
    world.manifest(&all[0]).await.expect(200);
    world.clock.advance(FRESH);
    world.upstream.answer_all(error(500, "UNKNOWN"));
    let answer = world.get(format!("/v2/up/app/referrers/{}", image.digest)).await.expect(200);
    assert_eq!(digests(&answer), all[..1]);
    assert_eq!(answer.header("cache-status"), "sampan; hit; detail=stale");
}

#[tokio::test]
async fn an_upstream_without_the_referrers_api_has_them_under_a_tag() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let attached = world.upstream.attach("app", &image, "a/b");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": attached.to_string(), "size": 100, "artifactType": "a/b",
        }],
    });
    let tag = image.digest.to_string().replace(':', "-");
    world.upstream.manifest(
        "app",
        &tag,
        "application/vnd.oci.image.index.v1+json",
        index.to_string().as_bytes(),
    );
    world.upstream.script(|seen, reply| match seen.path().contains("/referrers/") {
        true => Reply::new(404).body("404 page not found"),
        false => reply,
    });
    let answer = world.get(format!("/v2/up/app/referrers/{}", image.digest)).await.expect(200);
    assert_eq!(digests(&answer), [attached.to_string()]);
    // Clients that know no referrers ask for the tag itself.
    world.manifest(&tag).await.expect(200);
}

#[tokio::test]
async fn the_catalog_shows_what_is_stored_and_asks_nothing() {
    let world = World::new().await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.upstream.image("other", "latest", &[b"one"]);
    world.server.push_image("team/own", "latest", "1").await;
    world.manifest("latest").await.expect(200);
    world.head("/v2/up/other/manifests/latest").await.expect(200);
    world.upstream.requests();
    let answer = world.get("/v2/_catalog").await.expect(200);
    assert_eq!(answer.json()["repositories"], json!(["team/own", "up/app"]));
    assert_eq!(world.upstream.requests(), [""; 0]);
}
