//! end-7: pushes of manifests.

use axum::body::{Body, Bytes};
use futures::stream;
use sampan_engine::Limits;
use sampan_engine::oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use sampan_engine::oci::{Digest, media_type};
use serde_json::json;

use crate::support::image::{descriptor, manifest, noise};
use crate::support::{Server, Setup};

async fn with_blobs() -> Server {
    let server = Server::new();
    server.push_blob("a/b", "{}").await;
    server.push_blob("a/b", "layer").await;
    server
}

#[tokio::test]
async fn a_push_is_answered_with_the_digest_and_the_location() {
    let server = with_blobs().await;
    let manifest = manifest(b"{}", b"layer");
    let digest = Digest::sha256_of(manifest.to_string().as_bytes());
    for reference in ["latest", &digest.to_string()] {
        let call = server.call("PUT", format!("/v2/a/b/manifests/{reference}")).header("host", "reg.example");
        let call =
            call.header("content-type", &format!("{OCI_MANIFEST}; charset=utf-8")).body(manifest.to_string());
        let answer = call.send().await.expect(201);
        assert_eq!(answer.header("location"), format!("http://reg.example/v2/a/b/manifests/{digest}"));
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("content-length"), "0");
        assert!(!answer.has_header("oci-subject") && !answer.has_header("oci-tag"));
    }
}

#[tokio::test]
async fn every_kind_of_manifest_keeps_its_bytes() {
    let server = with_blobs().await;
    let image = manifest(b"{}", b"layer");
    server.put_manifest("a/b", "image", &image).await.expect(201);
    let mut docker = image.clone();
    docker["mediaType"] = DOCKER_MANIFEST.into();
    docker["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    let mut artifact = image.clone();
    artifact["artifactType"] = "application/vnd.example+type".into();
    artifact["config"]["mediaType"] = "application/vnd.example.config".into();
    artifact["config"]["data"] = "e30=".into();
    artifact["layers"] = json!([]);
    artifact["x-unknown"] = json!({ "deep": [1, null] });
    let child = descriptor(OCI_MANIFEST, image.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
    let nested = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(OCI_INDEX, index.to_string().as_bytes())],
    });
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [] });
    for (tag, manifest) in [("d", docker), ("a", artifact), ("i", index), ("n", nested), ("l", list)] {
        server.put_manifest("a/b", tag, &manifest).await.expect(201);
        let answer = server.call("GET", format!("/v2/a/b/manifests/{tag}")).send().await.expect(200);
        assert_eq!(answer.body, manifest.to_string());
        assert_eq!(answer.header("content-type"), manifest["mediaType"]);
    }
}

#[tokio::test]
async fn a_push_by_digest_can_set_many_tags() {
    let server = with_blobs().await;
    let manifest = manifest(b"{}", b"layer");
    let digest = Digest::sha256_of(manifest.to_string().as_bytes());
    let path = format!("{digest}?tag=one&tag=two&tag=three");
    let answer = server.put_manifest("a/b", &path, &manifest).await.expect(201);
    let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["one", "two", "three"]);
    for tag in ["one", "two", "three"] {
        let answer = server.call("HEAD", format!("/v2/a/b/manifests/{tag}")).send().await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
}

#[tokio::test]
async fn a_subject_is_acknowledged() {
    let server = with_blobs().await;
    let mut manifest = manifest(b"{}", b"layer");
    manifest["subject"] = descriptor(OCI_MANIFEST, b"not here yet");
    let answer = server.put_manifest("a/b", "latest", &manifest).await.expect(201);
    assert_eq!(answer.header("oci-subject"), Digest::sha256_of(b"not here yet").to_string());
}

/// Pushes a manifest that must be refused, and checks that nothing of it remains.
async fn refused(
    server: &Server,
    path: &str,
    kind: Option<&str>,
    body: impl Into<Bytes>,
    status: u16,
    code: &str,
) {
    let before = server.files().await;
    let mut call = server.call("PUT", path).body(body);
    if let Some(kind) = kind {
        call = call.header("content-type", kind);
    }
    call.send().await.expect_error(status, code);
    assert_eq!(server.files().await, before, "{path}");
}

#[tokio::test]
async fn content_that_is_no_manifest_is_refused() {
    let server = with_blobs().await;
    let path = "/v2/a/b/manifests/latest";
    let good = manifest(b"{}", b"layer").to_string();
    let schema1 = r#"{"schemaVersion":1,"name":"a","tag":"b"}"#;
    for (kind, body) in [
        (Some(OCI_MANIFEST), Bytes::new()),
        (Some(OCI_MANIFEST), Bytes::from("{")),
        (Some(OCI_MANIFEST), Bytes::from("null")),
        (Some(OCI_MANIFEST), Bytes::from("[]")),
        (Some(OCI_MANIFEST), Bytes::from("{}")),
        (Some(OCI_MANIFEST), noise(1000)),
        (Some(OCI_MANIFEST), Bytes::from("[".repeat(100_000))),
        (Some(OCI_INDEX), Bytes::from(good.clone())),
        (Some("text/plain"), Bytes::from(good.clone())),
        (Some(media_type::DOCKER_SCHEMA1), Bytes::from(schema1)),
        (None, Bytes::from(schema1)),
        (Some(OCI_MANIFEST), Bytes::from(format!("{good}{good}"))),
    ] {
        refused(&server, path, kind, body, 400, "MANIFEST_INVALID").await;
    }
}

#[tokio::test]
async fn every_missing_blob_is_named() {
    let server = Server::new();
    let missing = manifest(b"{}", b"layer");
    let answer =
        server.put_manifest("a", "latest", &missing).await.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    let mut named: Vec<_> =
        answer.details().iter().map(|detail| detail.as_str().unwrap().to_owned()).collect();
    named.sort_unstable();
    let mut expected = [Digest::sha256_of(b"{}").to_string(), Digest::sha256_of(b"layer").to_string()];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(server.files().await, []);
}

#[tokio::test]
async fn a_digest_that_does_not_match_is_refused() {
    let server = with_blobs().await;
    let path = format!("/v2/a/b/manifests/{}", Digest::sha256_of(b"other"));
    let body = manifest(b"{}", b"layer").to_string();
    refused(&server, &path, Some(OCI_MANIFEST), body, 400, "DIGEST_INVALID").await;
}

#[tokio::test]
async fn references_outside_the_grammar_are_refused() {
    let server = with_blobs().await;
    let body = manifest(b"{}", b"layer").to_string();
    let digest = Digest::sha256_of(body.as_bytes());
    for (reference, code) in [
        (".x".to_owned(), "TAG_INVALID"),
        ("a%2Fb".to_owned(), "TAG_INVALID"),
        ("x".repeat(129), "TAG_INVALID"),
        (format!("{digest}?tag=ok&tag=-x"), "TAG_INVALID"),
        (format!("{digest}?tag="), "TAG_INVALID"),
        ("sha256:abc".to_owned(), "DIGEST_INVALID"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(), "DIGEST_INVALID"),
    ] {
        let path = format!("/v2/a/b/manifests/{reference}");
        refused(&server, &path, Some(OCI_MANIFEST), body.clone(), 400, code).await;
    }
}

#[tokio::test]
async fn more_than_a_hundred_tags_are_refused_before_anything_is_written() {
    let server = with_blobs().await;
    let body = manifest(b"{}", b"layer").to_string();
    let path = |tags: usize| {
        let tags: Vec<String> = (0..tags).map(|number| format!("tag=t{number}")).collect();
        format!("/v2/a/b/manifests/{}?{}", Digest::sha256_of(body.as_bytes()), tags.join("&"))
    };
    for tags in [101, 6000] {
        refused(&server, &path(tags), Some(OCI_MANIFEST), body.clone(), 414, "TAG_INVALID").await;
    }
    let put = server.call("PUT", path(100)).header("content-type", OCI_MANIFEST).body(body.clone());
    let answer = put.send().await.expect(201);
    assert_eq!(answer.headers.get_all("oci-tag").iter().count(), 100);
}

#[tokio::test]
async fn a_manifest_that_is_too_large_is_refused_without_being_read() {
    let limits = Limits { manifest_size_bytes: 1000, ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    let path = "/v2/a/manifests/latest";
    refused(&server, path, Some(OCI_MANIFEST), noise(1001), 413, "SIZE_INVALID").await;

    // A body that announces a gigabyte; the server never reads its first byte.
    let untouched =
        Body::from_stream(stream::poll_fn(|_| -> std::task::Poll<Option<std::io::Result<Bytes>>> {
            panic!("the body was read")
        }));
    let call = server.call("PUT", path).header("content-length", "1073741824").raw_body(untouched);
    call.send().await.expect_error(413, "SIZE_INVALID");

    // An endless body without a length.
    let endless =
        Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]))));
    server.call("PUT", path).raw_body(endless).send().await.expect_error(413, "SIZE_INVALID");
    assert_eq!(server.files().await, []);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_refused() {
    let server = with_blobs().await;
    let before = server.files().await;
    let body = manifest(b"{}", b"layer").to_string();
    for len in [body.len() - 1, body.len() + 1] {
        let call = server.call("PUT", "/v2/a/b/manifests/latest").header("content-type", OCI_MANIFEST);
        let call = call.chunks([body.clone()]).header("content-length", &len.to_string());
        call.send().await.expect_error(400, "SIZE_INVALID");
    }
    let call = server.call("PUT", "/v2/a/b/manifests/latest").header("content-type", OCI_MANIFEST);
    call.vanishing_after(b"{").send().await.expect(400);
    assert_eq!(server.files().await, before);
}

#[tokio::test]
async fn a_read_only_registry_refuses_a_push_with_the_reason() {
    let server = with_blobs().await;
    server.registry.set_read_only(true);
    let answer = server.put_manifest("a/b", "latest", &manifest(b"{}", b"layer")).await;
    let answer = answer.expect_error(405, "UNSUPPORTED");
    let reason = "the registry is read-only at the moment (maintenance); pulls still work";
    assert_eq!(answer.details(), [reason]);
    // Docker prints only the message.
    assert_eq!(answer.json()["errors"][0]["message"], format!("The operation is unsupported: {reason}"));
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("DELETE", "/v2/a/manifests/latest".to_owned()),
        ("DELETE", format!("/v2/a/blobs/{}", Digest::sha256_of(b"layer"))),
        ("PATCH", "/v2/a/blobs/uploads/x".to_owned()),
        ("PUT", format!("/v2/a/blobs/uploads/x?digest={}", Digest::sha256_of(b"layer"))),
    ] {
        server.call(method, path).send().await.expect_error(405, "UNSUPPORTED");
    }
    server.call("GET", format!("/v2/a/b/blobs/{}", Digest::sha256_of(b"layer"))).send().await.expect(200);
}
