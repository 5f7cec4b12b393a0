//! end-3, end-9: reads and deletions of manifests.

use std::sync::Arc;

use sampan_driver::{PutMode, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::Limits;
use sampan_engine::layout::Entry;
use sampan_engine::oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use sampan_engine::oci::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::support::image::{descriptor, manifest};
use crate::support::{Server, Setup};

#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest() {
    let server = Server::new();
    let bytes = server.push_image("a/b", "latest", "x").await;
    let digest = Digest::sha256_of(&bytes);
    for reference in ["latest".to_owned(), digest.to_string(), digest.to_string().replace(':', "%3A")] {
        let answer = server.call("GET", format!("/v2/a/b/manifests/{reference}")).send().await.expect(200);
        assert_eq!(answer.body, bytes);
        let head = server.call("HEAD", format!("/v2/a/b/manifests/{reference}")).send().await.expect(200);
        assert!(head.body.is_empty());
        for answer in [answer, head] {
            assert_eq!(answer.header("content-type"), OCI_MANIFEST);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        }
    }
}

#[tokio::test]
async fn a_stored_manifest_is_served_with_any_accept() {
    let server = Server::new();
    server.push_image("a", "latest", "x").await;
    for accept in ["text/html", DOCKER_MANIFEST, "*/*", "application/json;q=0.1"] {
        let answer =
            server.call("GET", "/v2/a/manifests/latest").header("accept", accept).send().await.expect(200);
        assert_eq!(answer.header("content-type"), OCI_MANIFEST);
    }
}

#[tokio::test]
async fn an_empty_manifest_link_counts_as_absent_and_a_push_heals_it() {
    let driver = Arc::new(InMemoryDriver::new());
    let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
    let digest = Digest::sha256_of(&server.push_image("a", "latest", "x").await);
    let link = Entry::RevisionLink("a".parse().unwrap(), digest.clone()).path();
    driver.put_content(&link, "".into(), PutMode::Overwrite).await.unwrap();
    let by_digest = format!("/v2/a/manifests/{digest}");
    server.call("GET", &by_digest).send().await.expect_error(404, "MANIFEST_UNKNOWN");
    // A tag without its manifest counts as absent.
    server.call("GET", "/v2/a/manifests/latest").send().await.expect_error(404, "MANIFEST_UNKNOWN");
    server.push_image("a", "latest", "x").await;
    server.call("GET", &by_digest).send().await.expect(200);
}

#[tokio::test]
async fn unknown_references_are_not_found() {
    let server = Server::new();
    let digest = Digest::sha256_of(b"x").to_string();
    for (reference, detail) in [
        ("latest", json!({ "Name": "a/b", "Tag": "latest" })),
        (&digest, json!({ "Name": "a/b", "Revision": digest.clone() })),
    ] {
        for method in ["GET", "DELETE"] {
            let answer = server.call(method, format!("/v2/a/b/manifests/{reference}")).send().await;
            assert_eq!(answer.expect_error(404, "MANIFEST_UNKNOWN").details(), std::slice::from_ref(&detail));
        }
    }
    // A tag outside the grammar cannot exist; a digest outside the grammar is a mistake.
    for tag in [".INVALID", "-x", "a%20b", "a%2Fb", "%ff", &"x".repeat(129)] {
        server
            .call("GET", format!("/v2/a/manifests/{tag}"))
            .send()
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
    }
    server.call("GET", "/v2/a/manifests/sha256:abc").send().await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_blob_is_no_manifest() {
    let server = Server::new();
    server.push_image("a", "latest", "x").await;
    let layer = Digest::sha256_of(b"layer");
    server.call("GET", format!("/v2/a/manifests/{layer}")).send().await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_client_that_has_the_manifest_gets_a_304_if_it_exists() {
    let server = Server::new();
    let digest = Digest::sha256_of(&server.push_image("a", "latest", "x").await);
    for reference in ["latest".to_owned(), digest.to_string()] {
        for method in ["GET", "HEAD"] {
            let call = server.call(method, format!("/v2/a/manifests/{reference}"));
            let answer = call.header("if-none-match", &format!("\"{digest}\"")).send().await.expect(304);
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        }
    }
    let unknown = Digest::sha256_of(b"unknown");
    let call = server.call("GET", format!("/v2/a/manifests/{unknown}"));
    call.header("if-none-match", &format!("\"{unknown}\""))
        .send()
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// Pushes a Docker list of images for the given architectures; returns the children's digests.
async fn push_list(server: &Server, architectures: &[&str]) -> Vec<Digest> {
    let (mut children, mut digests) = (Vec::new(), Vec::new());
    for architecture in architectures {
        server.push_blob("a", (*architecture).to_owned()).await;
        server.push_blob("a", "layer").await;
        let mut child = manifest(architecture.as_bytes(), b"layer");
        child["mediaType"] = DOCKER_MANIFEST.into();
        let bytes = child.to_string();
        let digest = Digest::sha256_of(bytes.as_bytes());
        server.put_manifest("a", &digest.to_string(), &child).await.expect(201);
        let mut entry = descriptor(DOCKER_MANIFEST, bytes.as_bytes());
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        children.push(entry);
        digests.push(digest);
    }
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children });
    server.put_manifest("a", "latest", &list).await.expect(201);
    digests
}

#[tokio::test]
async fn a_client_older_than_lists_gets_the_child_for_linux_amd64_of_a_tag() {
    let server = Server::new();
    let children = push_list(&server, &["arm64", "amd64"]).await;
    for method in ["GET", "HEAD"] {
        let call = server.call(method, "/v2/a/manifests/latest").header("accept", DOCKER_MANIFEST);
        let answer = call.send().await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), children[1].to_string());
        assert_eq!(answer.header("content-type"), DOCKER_MANIFEST);
    }
    let list = server.call("GET", "/v2/a/manifests/latest").send().await.expect(200);
    assert_eq!(list.header("content-type"), DOCKER_LIST);
    let digest = list.header("docker-content-digest");
    let call = server.call("GET", format!("/v2/a/manifests/{digest}")).header("accept", DOCKER_MANIFEST);
    assert_eq!(call.send().await.expect(200).header("content-type"), DOCKER_LIST);
    for accept in [DOCKER_LIST, OCI_INDEX, "*/*"] {
        let call = server.call("GET", "/v2/a/manifests/latest");
        let answer = call.header("accept", DOCKER_MANIFEST).header("accept", accept).send().await.expect(200);
        assert_eq!(answer.header("content-type"), DOCKER_LIST);
    }
}

#[tokio::test]
async fn a_list_without_that_child_is_not_found_for_such_a_client() {
    let server = Server::new();
    push_list(&server, &["arm64"]).await;
    let call = server.call("GET", "/v2/a/manifests/latest").header("accept", DOCKER_MANIFEST);
    call.send().await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest() {
    let server = Server::new();
    let digest = Digest::sha256_of(&server.push_image("a", "one", "x").await);
    server.push_image("a", "two", "x").await;
    server.call("DELETE", "/v2/a/manifests/one").send().await.expect(202);
    server.call("GET", "/v2/a/manifests/one").send().await.expect_error(404, "MANIFEST_UNKNOWN");
    server.call("DELETE", "/v2/a/manifests/one").send().await.expect_error(404, "MANIFEST_UNKNOWN");
    server.call("GET", "/v2/a/manifests/two").send().await.expect(200);
    server.call("GET", format!("/v2/a/manifests/{digest}")).send().await.expect(200);
}

#[tokio::test]
async fn deleting_a_digest_deletes_its_tags() {
    let server = Server::new();
    let digest = Digest::sha256_of(&server.push_image("a", "one", "x").await);
    server.push_image("a", "two", "x").await;
    server.push_image("a", "other", "y").await;
    server.call("DELETE", format!("/v2/a/manifests/{digest}")).send().await.expect(202);
    for reference in ["one", "two", &digest.to_string()] {
        let answer = server.call("GET", format!("/v2/a/manifests/{reference}")).send().await;
        answer.expect_error(404, "MANIFEST_UNKNOWN");
    }
    server.call("GET", "/v2/a/manifests/other").send().await.expect(200);
}

#[tokio::test]
async fn deletion_has_to_be_enabled() {
    let server = Server::with(Setup { limits: Limits::default(), ..Setup::default() });
    server.push_image("a", "latest", "x").await;
    server.call("DELETE", "/v2/a/manifests/latest").send().await.expect_error(405, "UNSUPPORTED");
    server.call("GET", "/v2/a/manifests/latest").send().await.expect(200);
}

#[tokio::test]
async fn a_manifest_is_answered_in_the_requested_algorithm() {
    let server = Server::new();
    let config = server.push_blob("a", "{}").await;
    server.push_blob("a", "layer").await;
    let manifest: Value = manifest(b"{}", b"layer");
    let digest = Digest::of(Algorithm::Sha512, manifest.to_string().as_bytes());
    let pushed = server.put_manifest("a", &digest.to_string(), &manifest).await.expect(201);
    assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
    assert!(pushed.header("location").ends_with(&digest.to_string()));
    let canonical = Digest::sha256_of(manifest.to_string().as_bytes());
    for asked in [digest, canonical] {
        let answer = server.call("GET", format!("/v2/a/manifests/{asked}")).send().await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), asked.to_string());
        assert_eq!(answer.body, manifest.to_string());
    }
    server.call("GET", format!("/v2/a/blobs/{config}")).send().await.expect(200);
}
