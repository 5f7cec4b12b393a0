//! Requests and writes that an answer may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sampan_driver::Operation;

use super::support::World;
use crate::support::failing_driver::Misbehaviour;
use crate::support::hostile_server::Gate;
use crate::support::upstream::{Login, error};
use crate::support::{FailingDriver, image::noise};

/// Requests by the upstream's paths, sorted.
fn sorted(mut requests: Vec<String>) -> Vec<String> {
    requests.sort();
    requests
}

/// Fails if a refusal, a token or a manifest is asked for twice.
#[tokio::test]
async fn a_cold_image_costs_a_token_a_head_and_a_get_of_each_part() {
    let world = World::new().await;
    world.upstream.want(Login::AnonymousToken);
    let image = world.upstream.image("app", "latest", &[b"one", b"two", &noise(300_000)]);
    world.head("/v2/up/app/manifests/latest").await.expect(200);
    let answer = world.manifest("latest").await.expect(200);
    assert_eq!(answer.body, image.manifest);
    for blob in &image.blobs {
        world.blob(blob).await.expect(200);
    }
    let digest = &image.digest;
    let mut expected = vec![
        // Refused, since there is no token yet.
        "HEAD /v2/app/manifests/latest".to_owned(),
        "GET /token".to_owned(),
        "HEAD /v2/app/manifests/latest".to_owned(),
        format!("GET /v2/app/manifests/{digest}"),
    ];
    expected.extend(image.blobs.iter().map(|blob| format!("GET /v2/app/blobs/{blob}")));
    assert_eq!(world.upstream.requests(), expected);
}

#[tokio::test]
async fn what_is_fresh_and_here_costs_nothing() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    for blob in &image.blobs {
        world.blob(blob).await.expect(200);
    }
    world.upstream.requests();
    for _ in 0..3 {
        for reference in ["latest".to_owned(), image.digest.to_string()] {
            let answer = world.manifest(&reference).await.expect(200);
            assert_eq!(
                (answer.body.as_ref(), answer.header("cache-status")),
                (&image.manifest[..], "sampan; hit")
            );
            world.head(format!("/v2/up/app/manifests/{reference}")).await.expect(200);
        }
        for blob in &image.blobs {
            assert_eq!(world.blob(blob).await.expect(200).header("cache-status"), "sampan; hit");
            world.head(format!("/v2/up/app/blobs/{blob}")).await.expect(200);
        }
    }
    assert_eq!(world.upstream.requests(), [""; 0]);
}

/// Fails if a confirmed tag is written again.
#[tokio::test]
async fn a_stale_tag_that_is_unchanged_costs_a_head_and_no_write() {
    let (driver, writes) = (FailingDriver::new(), Arc::new(AtomicUsize::new(0)));
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.upstream.requests();
    world.clock.advance(Duration::from_secs(30));
    let is_write = |operation, _: &_| matches!(operation, Operation::PutContent | Operation::Writer);
    driver.be(Misbehaviour::Counts(is_write, writes.clone()));
    let calls = join_all((0..10).map(|_| world.manifest("latest"))).await;
    for answer in calls {
        let answer = answer.expect(200);
        assert_eq!(answer.body, image.manifest);
    }
    assert_eq!(world.upstream.requests(), ["HEAD /v2/app/manifests/latest"]);
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    driver.behave();
}

/// Fails if a repository that has joined a transfer is asked about again.
#[tokio::test]
async fn many_clients_of_a_blob_cost_one_transfer() {
    let world = World::new().await;
    let content = noise(500_000);
    let blob = world.upstream.blob("app", content.clone());
    let gate = Gate::new();
    let held = gate.clone();
    world.upstream.script(move |_, reply| reply.behind(&held));
    let path = format!("/v2/up/app/blobs/{blob}");
    let open = async {
        gate.wait_for(1).await;
        gate.open_for_all();
    };
    let clients = join_all((0..10).map(|_| world.get(&path)));
    let (answers, ()) = futures::join!(clients, open);
    for answer in answers {
        assert_eq!(answer.expect(200).body, content);
    }
    assert_eq!(world.upstream.requests(), [format!("GET {path}").replace("up/", "")]);
    assert_eq!(world.upstream.blob_bytes(), 500_000);
}

/// Fails if a range of what is not here costs more than the whole.
#[tokio::test]
async fn a_range_of_a_missing_blob_costs_one_transfer() {
    let world = World::new().await;
    let content = noise(300_000);
    let blob = world.upstream.blob("app", content.clone());
    let call = world.server.call("GET", format!("/v2/up/app/blobs/{blob}"));
    let answer = call.header("range", "bytes=1000-1999").send().await.expect(206);
    assert_eq!(answer.body, content[1000..2000]);
    assert_eq!(answer.header("content-range"), "bytes 1000-1999/300000");
    world.settle().await;
    assert_eq!(world.upstream.requests(), [format!("GET /v2/app/blobs/{blob}")]);
}

#[tokio::test]
async fn a_blob_of_another_repository_is_linked_only_if_a_manifest_refers_to_it() {
    let world = World::new().await;
    let layer = noise(1000);
    let image = world.upstream.image("app", "latest", &[&layer]);
    let other = world.upstream.image("other", "latest", &[&layer]);
    let layer = image.blobs[1].clone();
    world.manifest("latest").await.expect(200);
    world.blob(&layer).await.expect(200);
    world.upstream.requests();

    // No manifest of `up/third` is here, and the upstream has nothing of it.
    world.get(format!("/v2/up/third/blobs/{layer}")).await.expect_error(404, "BLOB_UNKNOWN");
    world.head(format!("/v2/up/third/blobs/{layer}")).await.expect(404);
    let asked = world.upstream.requests();
    assert_eq!(asked, [format!("GET /v2/third/blobs/{layer}"), format!("HEAD /v2/third/blobs/{layer}")]);

    world.get("/v2/up/other/manifests/latest").await.expect(200);
    world.upstream.requests();
    let answer = world.get(format!("/v2/up/other/blobs/{layer}")).await.expect(200);
    assert_eq!(answer.body.len(), 1000);
    assert_eq!(world.upstream.requests(), [""; 0]);
    assert_eq!(other.blobs[1], layer);
}

/// Fails if a client joins the transfer of a repository whose content it may not have.
#[tokio::test]
async fn a_transfer_for_another_repository_is_joined_only_after_the_upstream_has_confirmed_the_blob() {
    let world = World::new().await;
    let content = noise(500_000);
    let blob = world.upstream.blob("app", content.clone());
    world.upstream.blob("other", content.clone());
    let gate = Gate::new();
    let held = gate.clone();
    world.upstream.script(move |seen, reply| match seen.method.as_str() {
        "GET" => reply.behind(&held),
        _ => reply,
    });
    let path = |name: &str| format!("/v2/up/{name}/blobs/{blob}");
    let (first, second, third) = (path("app"), path("other"), path("third"));
    let others = async {
        gate.wait_for(1).await;
        world.get(&third).await.expect_error(404, "BLOB_UNKNOWN");
        let open = async {
            while !world.upstream.seen().iter().any(|seen| seen.path().contains("/other/")) {
                tokio::task::yield_now().await;
            }
            gate.open_for_all();
        };
        futures::join!(world.get(&second), open).0
    };
    let (one, two) = futures::join!(world.get(&first), others);
    assert_eq!((one.expect(200).body, two.expect(200).body), (content.clone(), content));
    world.settle().await;
    let expected = [
        format!("GET /v2/app/blobs/{blob}"),
        format!("HEAD /v2/other/blobs/{blob}"),
        format!("HEAD /v2/third/blobs/{blob}"),
    ];
    assert_eq!(sorted(world.upstream.requests()), expected);
    // It is here for the second, too, and not for the third.
    world.upstream.answer_all(crate::support::hostile_server::Reply::broken());
    world.get(&second).await.expect(200);
    world.get(&third).await.expect_error(502, "UNAVAILABLE");
}

/// Fails if each request fetches a token of its own.
#[tokio::test]
async fn requests_at_once_share_a_token_and_a_refused_one_is_renewed() {
    let world = World::new().await;
    world.upstream.want(Login::AnonymousToken);
    for tag in ["a", "b", "c", "d"] {
        world.upstream.image("app", tag, &[b"one"]);
    }
    let manifests = || join_all(["a", "b", "c", "d"].map(|tag| world.manifest(tag)));
    let tokens = || world.upstream.requests().iter().filter(|request| *request == "GET /token").count();
    for answer in manifests().await {
        answer.expect(200);
    }
    assert_eq!(tokens(), 1);
    // The first token has ended early.
    world.upstream.script(|seen, reply| match seen.header("authorization") {
        Some("Bearer token-1") => {
            let host = seen.header("host").unwrap();
            let challenge = format!(r#"Bearer realm="http://{host}/token",scope="repository:app:pull""#);
            error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge)
        }
        _ => reply,
    });
    world.clock.advance(Duration::from_secs(30));
    for answer in manifests().await {
        assert!(answer.expect(200).header("cache-status").contains("unchanged"));
    }
    assert_eq!(tokens(), 1);
}
