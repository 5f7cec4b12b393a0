//! An upstream makes nothing visible that it did not send, and nothing where it has no place.

use std::sync::Arc;

use sampan_engine::oci::{Digest, media_type};
use sampan_sync::JobRepository;

use super::support::{copy_of_app, entry, failures, job, pull};
use crate::cache::support::{TestClock, World, caches, settings};
use crate::support::hostile_server::Reply;
use crate::support::image::manifest;

const SECRET: &[u8] = b"the layer of another team";

/// An image of the upstream that names a blob which it does not send.
fn push_thief(world: &World, kind: &str) -> Digest {
    world.upstream.blob("app", "{}");
    let mut thief = manifest(b"{}", SECRET);
    thief["layers"][0]["mediaType"] = kind.into();
    let thief = thief.to_string();
    world.upstream.manifest("app", "1.0", media_type::OCI_MANIFEST, thief.as_bytes());
    Digest::sha256_of(SECRET)
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[tokio::test]
async fn a_blob_of_another_repository_that_the_upstream_only_names_stays_invisible() {
    for to in [Some("copy"), None] {
        for lie in ["missing", "empty", "announced", "other", "foreign"] {
            let world = World::new().await;
            world.server.push_blob("team/secret", SECRET).await;
            let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
            let secret = push_thief(&world, if lie == "foreign" { foreign } else { LAYER });
            world.upstream.script(move |seen, honest| {
                let is_secret = seen.path().ends_with(&format!("/blobs/{}", Digest::sha256_of(SECRET)));
                let length = Some(SECRET.len() as u64);
                match lie {
                    "empty" if is_secret => Reply::new(200).body(""),
                    "announced" if is_secret => Reply::new(200).body("").announcing(length),
                    "other" if is_secret => Reply::new(200).body(vec![b'x'; SECRET.len()]),
                    _ => honest,
                }
            });
            let report = world.sync(&job(vec![entry("app", to)])).await;
            if lie != "foreign" {
                assert!(!report.is_whole() && report.copied == 0, "{to:?} {lie}: {report:?}");
            }
            world.caches.set_offline(true);
            let name = to.unwrap_or("up/app");
            assert!(!world.has_blob(name, &secret).await, "{to:?} {lie}");
            let head = world.server.call("HEAD", format!("/v2/{name}/blobs/{secret}")).send().await;
            assert_ne!(head.status, 200, "{to:?} {lie}");
            if lie != "foreign" {
                assert_eq!(world.tag(name, "1.0").await, None, "{to:?} {lie}");
            }
        }
    }
}

/// The same for a manifest that an index names.
#[tokio::test]
async fn a_manifest_of_another_repository_that_the_upstream_only_names_stays_invisible() {
    for to in [Some("copy"), None] {
        let world = World::new().await;
        let secret = world.server.push_image("team/secret", "latest", "secret").await;
        let child = crate::support::upstream::Image {
            manifest: secret.to_vec(),
            digest: Digest::sha256_of(&secret),
            blobs: Vec::new(),
        };
        world.upstream.index("app", "1.0", &[("linux/amd64", &child)]);
        let report = world.sync(&job(vec![entry("app", to)])).await;
        assert!(!report.is_whole() && report.copied == 0, "{to:?}: {report:?}");
        world.caches.set_offline(true);
        assert_eq!(world.tag(to.unwrap_or("up/app"), &child.digest.to_string()).await, None);
    }
}

/// What an earlier repository of the same job got is linked only by its own upstream's images, and only if they are whole.
#[tokio::test]
async fn a_blob_that_this_run_has_transferred_is_linked_and_one_of_an_earlier_run_is_transferred_again() {
    let world = World::new().await;
    let one = world.upstream.image("app", "one", &[b"common"]);
    world.whole(&copy_of_app()).await;
    world.upstream.image("other", "one", &[b"common"]);
    world.upstream.requests();
    world.whole(&job(vec![entry("other", Some("second"))])).await;
    let asked = world.upstream.requests();
    assert!(asked.contains(&format!("GET /v2/other/blobs/{}", one.blobs[1])), "{asked:?}");
}

/// Fails if a blob of one repository at the upstream becomes visible in the copy of another, whose manifest only names it.
#[tokio::test]
async fn a_blob_of_another_repository_there_stays_invisible_in_the_copy_of_one_that_names_it() {
    for to in [Some("copy"), None] {
        let world = World::new().await;
        world.upstream.image("private", "1.0", &[SECRET]);
        let secret = push_thief(&world, LAYER);
        let private = to.map(|_| "team/private");
        let report = world.sync(&job(vec![entry("private", private), entry("app", to)])).await;
        assert_eq!((report.copied, report.failed), (1, 1), "{to:?}: {report:?}");
        world.caches.set_offline(true);
        assert!(world.has_blob(private.unwrap_or("up/private"), &secret).await, "{to:?}");
        assert!(!world.has_blob(to.unwrap_or("up/app"), &secret).await, "{to:?}");
    }
}

#[tokio::test]
async fn a_place_within_a_cache_is_refused() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    let files = world.server.files().await;
    let report = world.sync(&job(vec![entry("app", Some("up/other"))])).await;
    assert_eq!((report.failed, report.copied), (1, 0));
    assert!(failures(&report)[0].contains("is a cache of an upstream"), "{report:?}");
    assert_eq!(world.server.files().await, files);
}

/// The prefix of one upstream may hide names of another.
#[tokio::test]
async fn nothing_of_an_upstream_gets_into_the_cache_of_another() {
    let world = World::new().await;
    world.upstream.image("deep/app", "1.0", &[b"evil"]);
    world.upstream.image("app", "1.0", &[b"good"]);
    let clock = TestClock::default();
    let mut deep = settings("deep", "http://127.0.0.1:1", &clock);
    deep.prefix = Some("up/deep".parse().unwrap());
    let caches = caches(vec![settings("up", &world.upstream.url(), &clock), deep], None);
    let world = World { caches, ..world };
    let report = world.sync(&job(vec![entry("deep/app", None), entry("app", None)])).await;
    assert_eq!((report.failed, report.copied), (1, 1), "{report:?}");
    assert_eq!(world.server.files().await.iter().filter(|(path, _)| path.contains("up/deep")).count(), 0);
    // No other repository has it.
    world.whole(&job(vec![entry("deep/app", Some("copy"))])).await;
}

/// Every repository of the upstream, below `copy`.
fn all_repositories() -> JobRepository {
    JobRepository { wants: Arc::new(|_: &str| true), is_exact: false, ..entry("", Some("copy")) }
}

#[tokio::test]
async fn a_registry_that_is_offline_asks_nothing() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    world.caches.set_offline(true);
    let pattern = all_repositories();
    for entry in [entry("app", Some("copy")), entry("app", None), pattern] {
        let report = world.sync(&job(vec![entry])).await;
        assert!(report.stopped.is_some_and(|reason| reason.contains("offline")));
    }
    assert_eq!(world.upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn a_repository_that_the_configuration_does_not_allow_is_not_asked_for() {
    let world = World::with(|upstream, _| upstream.allowed = Arc::new(|name| name == "app")).await;
    for name in ["app", "secret"] {
        world.upstream.image(name, "1.0", &[b"one"]);
    }
    let report = world.sync(&job(vec![entry("secret", Some("copy/s")), entry("app", Some("copy"))])).await;
    assert_eq!((report.failed, report.copied), (1, 1), "{report:?}");
    let asked = world.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains("secret")), "{asked:?}");
    pull(&world.server, "copy", "1.0", &[]).await;
}

/// Fails if the catalog of an upstream can lead out of the place that the job has here.
#[tokio::test]
async fn names_of_a_catalog_stay_below_the_place_of_the_job() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    world.upstream.script(|seen, honest| match seen.path().ends_with("/_catalog") {
        true => Reply::new(200).json(
            r#"{"repositories":["../up/app","/app","app/../../x","APP","app","a//b","","up/app",".","x/../app"]}"#,
        ),
        false => honest,
    });
    let pattern = all_repositories();
    let report = world.sync(&job(vec![pattern])).await;
    assert_eq!((report.copied, report.repositories), (1, 2), "{report:?}");
    let files = world.server.files().await;
    let outside =
        files.iter().filter(|(path, _)| path.contains("/repositories/") && !path.contains("/copy/"));
    assert_eq!(outside.count(), 0, "{files:?}");
}
