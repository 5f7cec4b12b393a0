//! Images that cannot be copied, beside others that can.

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

/// The account must not be tried without its password, which could lock it.
#[tokio::test]
async fn a_password_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let [missing, empty] = ["missing", "empty"].map(|name| directory.path().join(name));
    std::fs::write(&empty, "\n").unwrap();
    for path in [missing, empty] {
        let world = World::with(|upstream, _| {
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
