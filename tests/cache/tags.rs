//! Tags that move, at the upstream and here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sampan::http::HttpServices;
use sampan::maintenance::save_cache_uses;
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::fill::{Admission, FillOptions};
use sampan_engine::layout::Entry;

use super::support::{World, caches, settings};
use crate::support::dated_driver::{DatedDriver, StoreTime};
use crate::support::failing_driver::Misbehaviour;
use crate::support::hostile_server::{Gate, Reply};
use crate::support::upstream::error;
use crate::support::{FailingDriver, Server, Setup};

const FRESH: Duration = Duration::from_secs(30);
const STALE: &str = "sampan; hit; detail=stale";

impl World {
    /// The manifest of `latest` while the upstream is away: what is stored.
    async fn stored(&self) -> Vec<u8> {
        self.caches.set_offline(true);
        self.clock.advance(FRESH);
        let answer = self.manifest("latest").await.expect(200);
        self.caches.set_offline(false);
        answer.body.to_vec()
    }
}

#[tokio::test]
async fn a_tag_that_moved_moves_here_when_it_is_no_longer_fresh() {
    let world = World::new().await;
    let old = world.upstream.image("app", "latest", &[b"old"]);
    world.manifest("latest").await.expect(200);
    let new = world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &{
        world.upstream.image("app", "new", &[b"new"]).manifest
    });
    assert_eq!(world.manifest("latest").await.expect(200).body, old.manifest);
    world.clock.advance(FRESH);
    world.upstream.requests();
    let answer = world.manifest("latest").await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), new.to_string());
    let asked = ["HEAD /v2/app/manifests/latest".to_owned(), format!("GET /v2/app/manifests/{new}")];
    assert_eq!(world.upstream.requests(), asked);
    assert_eq!(world.stored().await, answer.body);
    world.manifest(&old.digest).await.expect(200);
}

/// Fails if the tag of a client that asked for the tag first and the digest later is lost.
#[tokio::test]
async fn a_manifest_by_digest_gets_the_tag_that_was_asked_for_before() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let answer = world.head("/v2/up/app/manifests/latest").await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
    assert_eq!(answer.header("content-length"), image.manifest.len().to_string());
    assert_eq!(answer.header("cache-status"), "sampan; fwd=uri-miss");
    world.manifest(&image.digest).await.expect(200);
    assert_eq!(world.stored().await, image.manifest);
}

/// Fails if a tag that waited for an older manifest moves back to it.
#[tokio::test]
async fn a_late_request_for_an_older_manifest_does_not_move_the_tag_back() {
    let world = World::new().await;
    let old = world.upstream.image("app", "latest", &[b"old"]);
    world.head("/v2/up/app/manifests/latest").await.expect(200);
    world.clock.advance(FRESH);
    let new = world.upstream.image("app", "new", &[b"new"]);
    world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &new.manifest);
    assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    assert_eq!(world.manifest(&old.digest).await.expect(200).body, old.manifest);
    assert_eq!(world.stored().await, new.manifest);
}

/// Docker Hub answers every `HEAD` and counts each `GET`: over the limit it refuses these alone.
#[tokio::test]
async fn a_tag_whose_new_manifest_is_refused_is_served_as_it_was() {
    for (reply, status) in [
        (error(429, "TOOMANYREQUESTS").header("Retry-After", 9), 429),
        (error(503, "UNAVAILABLE"), 502),
        (Reply::broken(), 502),
        (Reply::new(200).json(r#"{"schemaVersion":2,"of":"another"}"#), 502),
        (error(404, "MANIFEST_UNKNOWN"), 404),
    ] {
        let world = World::new().await;
        let old = world.upstream.image("app", "latest", &[b"old"]);
        world.manifest("latest").await.expect(200);
        let new = world.upstream.image("app", "new", &[b"new"]);
        world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &new.manifest);
        world.clock.advance(FRESH);
        world.upstream.script(move |seen, honest| if seen.method == "GET" { reply.clone() } else { honest });
        for _ in 0..2 {
            let answer = world.manifest("latest").await.expect(200);
            assert_eq!(answer.body, old.manifest);
            assert_eq!(answer.header("cache-status"), STALE);
        }
        // A client that asks for the digest next gets the stored manifest.
        let answer = world.head("/v2/up/app/manifests/latest").await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), old.digest.to_string());
        world.manifest(&new.digest).await.expect(status);
        world.upstream.behave();
        world.clock.advance(FRESH);
        assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    }
}

#[tokio::test]
async fn an_immutable_tag_is_looked_at_until_it_is_stored_and_never_again() {
    let world = World::new().await;
    let image = world.upstream.image("app", "v1", &[b"one"]);
    world.head("/v2/up/app/manifests/v1").await.expect(200);
    world.manifest("v1").await.expect(200);
    world.upstream.image("app", "v1", &[b"moved"]);
    world.upstream.requests();
    world.clock.advance(Duration::from_secs(1_000_000));
    for method in ["GET", "HEAD"] {
        let answer = world.call(method, "/v2/up/app/manifests/v1").await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
        assert_eq!(answer.header("cache-status"), "sampan; hit");
    }
    assert_eq!(world.upstream.requests(), [""; 0]);
}

/// Fails if each of many clients asks for a tag.
#[tokio::test]
async fn a_registry_that_names_no_digest_is_asked_for_the_manifest() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let manifest = image.manifest.clone();
    world.upstream.script(move |_, _| {
        Reply::new(200)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            .body(manifest.clone())
    });
    let answer = world.manifest("latest").await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
    assert_eq!(world.stored().await, image.manifest);
}

/// Types that this registry does not know are content all the same.
#[tokio::test]
async fn a_manifest_of_an_unknown_type_is_passed_through_and_not_stored() {
    let world = World::new().await;
    let content = br#"{"schemaVersion":2,"mediaType":"application/vnd.example.thing+json","x":1}"#;
    let digest = world.upstream.manifest("app", "odd", "application/vnd.example.thing+json", content);
    let answer = world.manifest("odd").await.expect(200);
    assert_eq!(
        (answer.body.as_ref(), answer.header("docker-content-digest")),
        (&content[..], &*digest.to_string())
    );
    assert_eq!(answer.header("content-type"), "application/vnd.example.thing+json");
}

/// Distribution's caches forget manifests and keep their tags.
#[tokio::test]
async fn a_tag_whose_manifest_is_gone_is_not_stored() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = shared).await;
    let image = world.upstream.image("app", "v1", &[b"one"]);
    for tag in ["latest", "v1"] {
        world.upstream.manifest("app", tag, "application/vnd.oci.image.manifest.v1+json", &image.manifest);
        world.manifest(tag).await.expect(200);
    }
    let upstreams = || vec![settings("up", &world.upstream.url(), &world.clock)];
    for gone in [
        Entry::RevisionLink("up/app".parse().unwrap(), image.digest.clone()),
        Entry::Blob(image.digest.clone()),
    ] {
        driver.delete(&gone.path()).await.unwrap();
        let services = HttpServices { caches: Some(caches(upstreams(), None)), ..HttpServices::default() };
        let server = Server::with(Setup { driver: driver.clone(), services, ..Setup::default() });
        world.upstream.answer_all(error(500, "UNKNOWN"));
        for tag in ["latest", "v1"] {
            let path = format!("/v2/up/app/manifests/{tag}");
            server.call("GET", &path).send().await.expect_error(502, "UNAVAILABLE");
        }
        world.upstream.behave();
        for tag in ["latest", "v1"] {
            let path = format!("/v2/up/app/manifests/{tag}");
            assert_eq!(server.call("GET", &path).send().await.expect(200).body, image.manifest);
        }
    }
}

/// Fails if a stored tag spends a pull, or if it is served for longer than the rule says.
#[tokio::test]
async fn few_pulls_that_are_left_are_for_what_is_not_stored() {
    let hour = Duration::from_secs(3600);
    let world = World::with(|upstream, _| upstream.tags.stale = Some(hour)).await;
    let left = |pulls: u32| {
        world.upstream.script(move |_, reply| {
            reply
                .header("RateLimit-Limit", "100;w=21600")
                .header("RateLimit-Remaining", format!("{pulls};w=21600"))
        });
    };
    let pulls = || world.upstream.requests().iter().filter(|request| request.starts_with("GET")).count();
    let old = world.upstream.image("app", "latest", &[b"old"]);
    left(10);
    world.manifest("latest").await.expect(200);
    let new = world.upstream.image("app", "new", &[b"new"]);
    world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &new.manifest);
    assert_eq!(pulls(), 1);
    left(9);
    for _ in 0..2 {
        world.clock.advance(FRESH);
        let answer = world.manifest("latest").await.expect(200);
        assert_eq!((answer.body.as_ref(), answer.header("cache-status")), (&old.manifest[..], STALE));
        let answer = world.head("/v2/up/app/manifests/latest").await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), old.digest.to_string());
    }
    assert_eq!(pulls(), 0);
    world.upstream.image("app", "unseen", &[b"unseen"]);
    world.manifest("unseen").await.expect(200);
    assert_eq!(pulls(), 1);
    world.clock.advance(hour);
    assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    assert_eq!(pulls(), 1);
}

/// Fails if the store is asked more often for a tag that is fresh than for one of its own.
#[tokio::test]
async fn a_fresh_tag_costs_the_store_what_a_pushed_one_costs() {
    let driver = FailingDriver::new();
    let world = World::with(|_, setup| setup.driver = Arc::new(driver.clone())).await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.server.push_image("own/app", "latest", "1").await;
    let asked = async |repository: &str| {
        let path = format!("/v2/{repository}/manifests/latest");
        // The first has what the later ones remember.
        world.get(&path).await.expect(200);
        let count = Arc::default();
        driver.be(Misbehaviour::Counts(|_, _| true, Arc::clone(&count)));
        world.get(&path).await.expect(200);
        driver.behave();
        count.load(Ordering::Relaxed)
    };
    assert_eq!(asked("up/app").await, asked("own/app").await);
}

/// Fails if `stale` bounds the age of tags while no upstream is asked.
#[tokio::test]
async fn offline_a_stored_tag_is_served_however_old_it_is() {
    let world = World::with(|upstream, _| upstream.tags.stale = Some(Duration::from_secs(40))).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.clock.advance(Duration::from_secs(1000));
    world.caches.set_offline(true);
    for method in ["GET", "HEAD"] {
        let answer = world.call(method, "/v2/up/app/manifests/latest").await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
        assert_eq!(answer.header("cache-status"), STALE);
    }
    world.manifest("absent").await.expect(404);
}

/// Fails if a manifest that was served without being stored makes the stored tag look as if it had been compared, or if each
/// request looks at the tag again.
#[tokio::test]
async fn a_manifest_that_is_not_stored_makes_the_stored_tag_no_younger() {
    let refuses = Arc::new(AtomicBool::new(false));
    let is_refused = refuses.clone();
    let admission = Admission::default().unless(move || is_refused.load(Ordering::Relaxed));
    let world = World::over(FillOptions { admission, ..FillOptions::default() }, |upstream, _| {
        upstream.tags.stale = Some(2 * FRESH);
    })
    .await;
    world.upstream.image("app", "latest", &[b"old"]);
    world.manifest("latest").await.expect(200);
    refuses.store(true, Ordering::Relaxed);
    let new = world.upstream.image("app", "new", &[b"new"]);
    world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &new.manifest);
    world.clock.advance(FRESH + FRESH / 2);
    assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    world.upstream.requests();
    assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    assert_eq!(world.upstream.requests(), [format!("GET /v2/app/manifests/{}", new.digest)]);
    world.upstream.answer_all(error(503, "UNAVAILABLE"));
    // The stored tag was right more than two of these ago, and the one that is not stored one ago.
    world.clock.advance(FRESH);
    world.manifest("latest").await.expect_error(502, "UNAVAILABLE");
}

/// Fails if a process takes a tag for as old as its link, which a comparison does not write again.
#[tokio::test]
async fn a_restart_makes_no_tag_look_older_than_its_last_comparison() {
    let (minute, time) = (Duration::from_secs(60), StoreTime::default());
    let driver: Arc<dyn StorageDriver> =
        Arc::new(DatedDriver::new(Arc::new(InMemoryDriver::new()), time.clone(), Duration::ZERO));
    let prefixes = || CachePrefixes::below(["up".parse().unwrap()]);
    let world = World::with(|upstream, setup| {
        upstream.tags.stale = Some(60 * minute);
        setup.driver = driver.clone();
        setup.prefixes = prefixes();
        setup.clock = time.clock();
    })
    .await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    time.add(50 * minute);
    world.clock.advance(FRESH);
    let answer = world.manifest("latest").await.expect(200);
    assert!(answer.header("cache-status").ends_with("detail=unchanged"), "{answer:?}");
    save_cache_uses(&world.server.registry).await;
    time.add(50 * minute);
    world.upstream.answer_all(error(503, "UNAVAILABLE"));
    let restarted = || {
        let mut upstream = settings("up", &world.upstream.url(), &world.clock);
        upstream.tags.stale = Some(60 * minute);
        let services = HttpServices { caches: Some(caches(vec![upstream], None)), ..HttpServices::default() };
        Server::with(Setup {
            driver: driver.clone(),
            services,
            prefixes: prefixes(),
            clock: time.clock(),
            ..Setup::default()
        })
    };
    let ask = async || restarted().call("GET", "/v2/up/app/manifests/latest").send().await;
    assert_eq!(ask().await.expect(200).header("cache-status"), STALE);
    time.add(20 * minute);
    assert_eq!(ask().await.expect(502).header("cache-status"), "sampan; fwd=stale; fwd-status=503");
}

/// Fails if a client that waits for an older manifest moves the tag back to it.
#[tokio::test]
async fn a_manifest_that_comes_late_does_not_move_the_tag_back() {
    let world = World::new().await;
    let old = world.upstream.image("app", "latest", &[b"old"]);
    let (gate, slow) = (Gate::new(), format!("/v2/app/manifests/{}", old.digest));
    let held = gate.clone();
    world.upstream.script(move |seen, reply| if seen.path() == slow { reply.behind(&held) } else { reply });
    let mut waiting = Box::pin(world.manifest("latest"));
    tokio::select! {
        _ = &mut waiting => panic!("the upstream has not answered"),
        () = gate.wait_for(1) => {}
    }
    world.clock.advance(FRESH);
    let new = world.upstream.image("app", "new", &[b"new"]);
    world.upstream.manifest("app", "latest", "application/vnd.oci.image.manifest.v1+json", &new.manifest);
    assert_eq!(world.manifest("latest").await.expect(200).body, new.manifest);
    gate.open_for_all();
    assert_eq!(waiting.await.expect(200).body, old.manifest);
    assert_eq!(world.stored().await, new.manifest);
}

/// Upstreams say of a `HEAD` what they like; clients read as many bytes as it says.
#[tokio::test]
async fn a_head_has_the_length_and_type_of_the_manifest_and_not_those_that_the_upstream_says() {
    let index = "application/vnd.oci.image.index.v1+json";
    for (length, kind, is_plausible) in
        [(0, None, false), (5 << 20, None, false), (99_999, None, true), (0, Some(index), false)]
    {
        let world = World::new().await;
        let image = world.upstream.image("app", "latest", &[b"one"]);
        let digest = image.digest.clone();
        world.upstream.script(move |seen, reply| match (seen.method.as_str(), kind) {
            ("HEAD", Some(kind)) => Reply::new(200)
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", &digest)
                .announcing(Some(length)),
            ("HEAD", None) => reply.announcing(Some(length)),
            _ => reply,
        });
        let says = async |when: &str| {
            let answer = world.head("/v2/up/app/manifests/latest").await.expect(200);
            let said = (answer.header("content-length"), answer.header("content-type"));
            let right = (image.manifest.len().to_string(), "application/vnd.oci.image.manifest.v1+json");
            assert_eq!(said, (&*right.0, right.1), "{length} {kind:?} {when}");
        };
        if !is_plausible {
            says("before a pull").await;
        }
        world.manifest("latest").await.expect(200);
        says("after it").await;
        world.clock.advance(FRESH);
        says("compared again").await;
    }
}
