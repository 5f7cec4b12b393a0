//! Images that cannot be copied, and an upstream that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sampan_client::Credentials;
use sampan_engine::oci::{Digest, media_type};

use super::support::{copy_of_app, entry, failures, job};
use crate::cache::support::{World, with_account};
use crate::support::hostile_server::{Reply, Seen};
use crate::support::image::{descriptor, manifest, noise};
use crate::support::upstream::error;

/// Three images, of which the middle one cannot be copied, with an older one in its place here.
async fn assert_only_the_middle_fails(spoil: impl FnOnce(&World), expected: &str) {
    let world = World::new().await;
    let upstream = &world.upstream;
    let old = upstream.image("app", "b", &[b"old"]);
    world.whole(&copy_of_app()).await;
    upstream.image("app", "a", &[b"one"]);
    upstream.image("app", "c", &[b"three"]);
    spoil(&world);
    let report = world.sync(&copy_of_app()).await;
    let told = failures(&report);
    assert_eq!((report.failed, report.copied, &report.stopped), (1, 2, &None), "{expected}: {report:?}");
    assert!(told[0].starts_with("copy:b: ") && told[0].contains(expected), "{expected}: {told:?}");
    assert_eq!(world.tag("copy", "b").await, Some(old.digest.to_string()), "{expected}");
    for tag in ["a", "b", "c"] {
        world.assert_pullable("copy", tag).await;
    }
}

fn is_blob(seen: &Seen, digest: &Digest) -> bool {
    seen.path().ends_with(&format!("/blobs/{digest}"))
}

#[tokio::test]
async fn an_image_whose_blob_is_missing_there_is_named_and_its_old_tag_stays() {
    let spoil = |world: &World| {
        let new = world.upstream.image("app", "b", &[b"new"]);
        world.upstream.lose_blob("app", &new.blobs[1]);
    };
    assert_only_the_middle_fails(spoil, "does not have the blob").await;
}

#[tokio::test]
async fn an_image_whose_child_is_missing_there_is_named() {
    let spoil = |world: &World| {
        let child = world.upstream.image("other", "child", &[b"new"]);
        world.upstream.index("app", "b", &[("linux/amd64", &child)]);
    };
    assert_only_the_middle_fails(spoil, "is missing").await;
}

#[tokio::test]
async fn a_blob_with_other_content_is_refused() {
    for content in [&b"evil"[..], b"ev", b"longer than it may be", b""] {
        let spoil = |world: &World| {
            let new = world.upstream.image("app", "b", &[b"good"]);
            let layer = new.blobs[1].clone();
            world.upstream.script(move |seen, honest| match is_blob(seen, &layer) {
                true => Reply::new(200).body(content),
                false => honest,
            });
        };
        assert_only_the_middle_fails(spoil, &Digest::sha256_of(b"good").to_string()).await;
    }
}

#[tokio::test]
async fn a_manifest_that_lies_about_lengths_is_refused() {
    for size in [0_u64, 3, 5, 1 << 50, u64::MAX] {
        let spoil = |world: &World| {
            world.upstream.blob("app", "good");
            world.upstream.blob("app", "{}");
            let mut lying = manifest(b"{}", b"good");
            lying["layers"][0]["size"] = size.into();
            world.upstream.manifest("app", "b", media_type::OCI_MANIFEST, lying.to_string().as_bytes());
        };
        assert_only_the_middle_fails(spoil, "").await;
    }
}

#[tokio::test]
async fn a_manifest_without_its_digest_is_refused() {
    let spoil = |world: &World| {
        let new = world.upstream.image("app", "b", &[b"new"]);
        let other = world.upstream.image("other", "x", &[b"other"]).manifest;
        world.upstream.script(move |seen, honest| {
            match seen.path().ends_with(&format!("/manifests/{}", new.digest)) {
                true => honest.body(other.clone()),
                false => honest,
            }
        });
    };
    assert_only_the_middle_fails(spoil, "does not have its digest").await;
}

#[tokio::test]
async fn what_is_no_manifest_is_named() {
    for (kind, content) in [
        (media_type::OCI_MANIFEST, "{}"),
        (media_type::OCI_MANIFEST, "[]"),
        (media_type::OCI_MANIFEST, "<html>"),
        (media_type::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0"}]}"#),
        ("text/html", "<html>"),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1}"#),
    ] {
        let spoil = |world: &World| {
            world.upstream.manifest("app", "b", kind, content.as_bytes());
        };
        assert_only_the_middle_fails(spoil, "").await;
    }
}

/// An index that refers to itself cannot exist; one that is deep can.
#[tokio::test]
async fn an_endless_chain_of_indexes_is_named() {
    let spoil = |world: &World| {
        let mut child = world.upstream.image("app", "x-child", &[b"x"]);
        world.upstream.untag("app", "x-child");
        for _ in 0..100 {
            child = world.upstream.index("app", "b", &[("linux/amd64", &child)]);
        }
        world.upstream.lose_blob("app", &Digest::sha256_of(b"x"));
    };
    assert_only_the_middle_fails(spoil, "").await;
}

#[tokio::test]
async fn a_tag_that_goes_between_the_list_and_the_copy_is_named() {
    let spoil = |world: &World| {
        world.upstream.script(|seen, honest| match seen.path().ends_with("/manifests/b") {
            true => error(404, "MANIFEST_UNKNOWN"),
            false => honest,
        });
    };
    assert_only_the_middle_fails(spoil, "the upstream lists it, and does not have it").await;
}

/// Fails if one broken image keeps all after it from ever being copied.
#[tokio::test]
async fn an_image_for_which_the_upstream_always_fails_does_not_stop_the_others() {
    for part in ["manifests", "blobs"] {
        let spoil = |world: &World| {
            let new = world.upstream.image("app", "b", &[b"new"]);
            world.upstream.script(move |seen, honest| {
                let (image, layer) = (new.digest.to_string(), new.blobs[1].to_string());
                let is_it = |digest: &str| seen.path().ends_with(&format!("/{part}/{digest}"));
                match is_it(&image) || is_it(&layer) {
                    true => error(500, "UNKNOWN"),
                    false => honest,
                }
            });
        };
        assert_only_the_middle_fails(spoil, "responds with status 500").await;
    }
}

/// The upstream breaks off within each answer about the blob.
#[tokio::test]
async fn a_blob_that_always_breaks_off_does_not_stop_the_others() {
    let spoil = |world: &World| {
        let new = world.upstream.image("app", "b", &[&noise(1000)]);
        let layer = new.blobs[1].clone();
        world.upstream.script(move |seen, honest| match is_blob(seen, &layer) {
            true => Reply::new(200).body(noise(1000)).cut_after(500),
            false => honest,
        });
    };
    assert_only_the_middle_fails(spoil, "").await;
}

#[tokio::test]
async fn a_repository_that_is_missing_there_is_named_and_the_others_are_copied() {
    let world = World::new().await;
    world.upstream.image("app", "one", &[b"one"]);
    let entries = vec![entry("gone", Some("copy/gone")), entry("app", Some("copy"))];
    let report = world.sync(&job(entries)).await;
    assert_eq!((report.failed, report.copied, &report.stopped), (1, 1, &None), "{report:?}");
    assert!(failures(&report)[0].starts_with("copy/gone: "), "{report:?}");
}

/// Docker Hub refuses an account a repository that does not exist.
#[tokio::test]
async fn a_repository_that_the_account_may_not_read_does_not_stop_the_others() {
    for status in [401, 403] {
        let world = World::with(|upstream, _| with_account(upstream)).await;
        for name in ["app", "private"] {
            world.upstream.image(name, "one", &[b"one"]);
        }
        world.upstream.script(move |seen, honest| match seen.path().contains("/private/") {
            true => error(status, "DENIED"),
            false => honest,
        });
        let entries = vec![entry("private", Some("copy/private")), entry("app", Some("copy"))];
        let report = world.sync(&job(entries)).await;
        assert_eq!((report.failed, report.copied, &report.stopped), (1, 1, &None), "{status}: {report:?}");
    }
}

/// Each further question could lock the account.
#[tokio::test]
async fn an_account_that_is_refused_everywhere_ends_the_run() {
    let world = World::with(|upstream, _| with_account(upstream)).await;
    world.upstream.answer_all(error(403, "DENIED"));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let entries = names.map(|name| entry(name, None)).into();
    let report = world.sync(&job(entries)).await;
    assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("refuses")), "{report:?}");
    assert!(world.upstream.requests().len() <= 3, "{report:?}");
}

/// The account must not be tried without its password, which could lock it.
#[tokio::test]
async fn a_password_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let [missing, empty] = ["missing", "empty"].map(|name| directory.path().join(name));
    std::fs::write(&empty, "\n").unwrap();
    for path in [missing, empty] {
        let world = World::with(|upstream, _| {
            upstream.has_account = true;
            upstream.client.credentials = Credentials::password_file("robot", &path);
        })
        .await;
        world.upstream.image("app", "one", &[b"one"]);
        world
            .upstream
            .answer_all(error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"up\""));
        let report = world.sync(&copy_of_app()).await;
        assert!(format!("{report:?}").contains(path.to_str().unwrap()), "{report:?}");
        let logins = world.upstream.seen();
        assert!(logins.iter().all(|seen| seen.header("authorization").is_none()), "{logins:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_goes_away_in_the_middle_stops_the_run() {
    for away in [Reply::broken(), error(503, "UNAVAILABLE")] {
        let world = World::new().await;
        let tags: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        for tag in &tags {
            world.upstream.image("app", tag, &[tag.as_bytes()]);
        }
        let blobs = Arc::new(AtomicUsize::new(0));
        let reply = away.clone();
        world.upstream.script(move |seen, honest| {
            let count = blobs.fetch_add(usize::from(seen.path().contains("/blobs/")), Ordering::Relaxed);
            if count < 5 { honest } else { reply.clone() }
        });
        let report = world.sync(&copy_of_app()).await;
        assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("upstream up")), "{report:?}");
        assert_eq!(report.retry_after_secs, None);
        // Three, and the rest of the repository.
        assert!((1..=2).contains(&report.copied) && report.failed <= 4, "{report:?}");
        world.upstream.behave();
        // It is left alone for a while.
        world.clock.advance(Duration::from_secs(600));
        let rest = world.whole(&copy_of_app()).await;
        assert_eq!(rest.copied + report.copied, 9);
        for tag in &tags {
            world.assert_pullable("copy", tag).await;
        }
    }
}

/// Fails if one repository keeps those after it from ever being copied.
#[tokio::test]
async fn a_repository_whose_images_all_fail_does_not_stop_the_others() {
    for failure in [error(500, "UNKNOWN"), Reply::broken()] {
        let world = World::new().await;
        for tag in ["a", "b", "c", "d", "e"] {
            world.upstream.image("bad", tag, &[tag.as_bytes()]);
        }
        world.upstream.image("app", "one", &[b"one"]);
        world.upstream.script(move |seen, honest| match seen.path().contains("/bad/manifests/") {
            true => failure.clone(),
            false => honest,
        });
        let entries = vec![entry("bad", Some("copy/bad")), entry("app", Some("copy"))];
        let report = world.sync(&job(entries)).await;
        assert_eq!((report.copied, report.failed, &report.stopped), (1, 4, &None), "{report:?}");
        let told = failures(&report);
        assert!(told[3].starts_with("copy/bad: not tried") && told[3].ends_with("2 more"), "{told:?}");
        world.assert_pullable("copy", "one").await;
    }
}

#[tokio::test]
async fn an_upstream_that_fails_for_each_of_three_repositories_stops_the_run() {
    let world = World::new().await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        for tag in ["one", "two"] {
            world.upstream.image(name, tag, &[tag.as_bytes()]);
        }
    }
    world.upstream.script(|seen, honest| match seen.path().contains("/manifests/") {
        true => error(500, "UNKNOWN"),
        false => honest,
    });
    let report = world.sync(&job(names.map(|name| entry(name, None)).into())).await;
    assert_eq!((report.copied, report.failed), (0, 6), "{report:?}");
    assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("status 500")), "{report:?}");
    assert!(!world.upstream.requests().iter().any(|request| request.contains("/d/")));
}

/// The last image of a run cannot show that the upstream is there.
#[tokio::test]
async fn an_upstream_that_is_away_from_the_beginning_stops_the_run() {
    for away in [Reply::broken(), error(503, "UNAVAILABLE")] {
        let world = World::new().await;
        world.upstream.image("app", "one", &[b"one"]);
        world.upstream.answer_all(away);
        let report = world.sync(&copy_of_app()).await;
        assert!(report.stopped.is_some() && report.copied == 0, "{report:?}");
    }
}

#[tokio::test]
async fn too_many_requests_stop_the_run_until_the_upstream_wants() {
    for part in ["/tags/", "/manifests/", "/blobs/", "/referrers/"] {
        let world = World::new().await;
        for tag in ["a", "b", "c"] {
            world.upstream.image("app", tag, &[tag.as_bytes()]);
        }
        world.upstream.script(move |seen, honest| match seen.path().contains(part) {
            true => error(429, "TOOMANYREQUESTS").header("Retry-After", 1234),
            false => honest,
        });
        let report = world.sync(&copy_of_app()).await;
        assert_eq!((report.retry_after_secs, report.copied, report.failed), (Some(1234), 0, 0), "{part}");
        assert!(report.stopped.is_some_and(|reason| reason.contains("too many requests")), "{part}");
        assert!(world.upstream.requests().len() < 9, "{part}");
    }
}

/// Docker Hub says with each answer how many pulls are left.
#[tokio::test]
async fn a_job_stops_before_it_takes_the_pulls_that_are_kept_for_clients() {
    let world = World::new().await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    let left = Arc::new(AtomicUsize::new(7));
    let pulls = left.clone();
    world.upstream.script(move |seen, honest| {
        let is_pull = seen.method == "GET" && seen.path().contains("/manifests/");
        let left = pulls.fetch_sub(usize::from(is_pull), Ordering::Relaxed) - usize::from(is_pull);
        let header = format!("{left};w=21600");
        honest.header("RateLimit-Limit", "100;w=21600").header("RateLimit-Remaining", header)
    });
    let mut job = copy_of_app();
    job.reserve = 6;
    let report = world.sync(&job).await;
    assert_eq!((report.copied, report.failed, left.load(Ordering::Relaxed)), (1, 0, 6), "{report:?}");
    let reason = report.stopped.unwrap();
    assert!(reason.contains("6 pulls left"), "{reason}");
    // The image that is here is compared all the same.
    world.upstream.requests();
    let report = world.sync(&job).await;
    assert_eq!((report.unchanged, report.copied), (1, 0), "{report:?}");
    assert!(report.stopped.is_some());
    let asked = world.upstream.requests();
    assert!(asked.contains(&"HEAD /v2/app/manifests/b".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|request| request.starts_with("GET /v2/app/manifests/")), "{asked:?}");
    // More are left.
    left.store(50, Ordering::Relaxed);
    assert_eq!(world.whole(&job).await.copied, 2);
}

/// Fails if an artifact that the upstream lists and does not have is passed over in silence.
#[tokio::test]
async fn an_image_with_an_artifact_that_is_missing_there_is_named() {
    let world = World::new().await;
    let image = world.upstream.image("app", "one", &[b"one"]);
    world.upstream.image("app", "two", &[b"two"]);
    // Its blobs are missing.
    world.upstream.attach("app", &image, "application/spdx");
    let report = world.sync(&copy_of_app()).await;
    assert_eq!((report.failed, report.copied), (1, 1), "{report:?}");
    assert!(failures(&report)[0].starts_with("copy:one: "), "{report:?}");
}

#[tokio::test]
async fn a_report_names_the_first_failures_and_counts_all() {
    let world = World::new().await;
    for number in 0..30 {
        let image = world.upstream.image("app", &number.to_string(), &[&[number]]);
        world.upstream.lose_blob("app", &image.blobs[1]);
    }
    let report = world.sync(&copy_of_app()).await;
    assert_eq!((report.failed, report.failures.len(), report.copied), (30, 20, 0));
    assert_eq!(report.stopped, None);
}

/// Layers that need not be distributed are left where they are.
#[tokio::test]
async fn a_layer_that_the_upstream_does_not_give_away_is_left_out() {
    let world = World::new().await;
    world.upstream.blob("app", "{}");
    let mut image = manifest(b"{}", b"windows");
    let mut layer = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"windows");
    layer["urls"] = serde_json::json!(["https://example.com/layer"]);
    image["layers"] = serde_json::json!([layer]);
    let digest =
        world.upstream.manifest("app", "one", media_type::OCI_MANIFEST, image.to_string().as_bytes());
    let report = world.whole(&copy_of_app()).await;
    assert_eq!((report.copied, report.blobs), (1, 1));
    assert_eq!(world.tag("copy", "one").await, Some(digest.to_string()));
}
