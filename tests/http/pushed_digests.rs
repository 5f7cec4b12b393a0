//! Tags that were set by a push with a digest of another than the canonical algorithm.

use std::sync::Arc;

use sampan_driver::PutMode;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};

use crate::support::image::manifest;
use crate::support::{Server, Setup};

async fn with_blobs() -> Server {
    let server = Server::new();
    server.push_blob("a/b", "{}").await;
    server.push_blob("a/b", "layer").await;
    server
}

/// The digest in a tag's answer, by both methods.
async fn told(server: &Server, tag: &str) -> String {
    let mut told = Vec::new();
    for method in ["HEAD", "GET"] {
        let answer = server.call(method, format!("/v2/a/b/manifests/{tag}")).send().await.expect(200);
        assert_eq!(answer.header("etag"), format!("\"{}\"", answer.header("docker-content-digest")));
        told.push(answer.header("docker-content-digest").to_owned());
    }
    assert_eq!(told[0], told[1]);
    told.swap_remove(0)
}

#[tokio::test]
async fn a_tag_answers_with_the_digest_by_which_it_was_pushed() {
    let server = with_blobs().await;
    let manifest = manifest(b"{}", b"layer");
    let bytes = manifest.to_string();
    let [sha256, sha512] = [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| {
        let digest = Digest::of(algorithm, bytes.as_bytes());
        digest.to_string()
    });
    let push = async |reference: String| {
        server.put_manifest("a/b", &reference, &manifest).await.expect(201);
    };
    // Also if the answer is cached.
    push("one".to_owned()).await;
    assert_eq!(told(&server, "one").await, sha256);
    push(format!("{sha512}?tag=one&tag=two")).await;
    assert_eq!([told(&server, "one").await, told(&server, "two").await], [&*sha512, &*sha512]);
    // The tag's own link has Distribution's form.
    let driver = server.registry.driver();
    let link = Entry::TagCurrent("a/b".parse().unwrap(), "one".parse().unwrap()).path();
    assert_eq!(driver.get_content(&link).await.unwrap(), sha256);

    // A later push of the tag replaces it, in any form.
    push("one".to_owned()).await;
    assert_eq!([told(&server, "one").await, told(&server, "two").await], [&*sha256, &*sha512]);
    push(format!("{sha256}?tag=two")).await;
    assert_eq!(told(&server, "two").await, sha256);

    // A deletion removes it, and another manifest makes it invalid.
    push(format!("{sha512}?tag=one&tag=two")).await;
    server.call("DELETE", "/v2/a/b/manifests/one").send().await.expect(202);
    let left: Vec<_> =
        server.files().await.into_iter().filter(|(path, _)| path.contains("_sampan")).collect();
    assert!(matches!(&left[..], [(path, _)] if path.ends_with("/_sampan/digests/two")), "{left:?}");
    let other = crate::support::image::manifest(b"layer", b"{}");
    let driver = server.registry.driver().clone();
    let other_digest = Digest::sha256_of(other.to_string().as_bytes());
    server.put_manifest("a/b", &other_digest.to_string(), &other).await.expect(201);
    let link = Entry::TagCurrent("a/b".parse().unwrap(), "two".parse().unwrap()).path();
    // A move of the tag by Distribution.
    driver.put_content(&link, other_digest.to_string().into(), PutMode::Overwrite).await.unwrap();
    assert_eq!(told(&server, "two").await, other_digest.to_string());
    // A request by digest gets that digest.
    for digest in [&sha256, &sha512] {
        assert_eq!(told(&server, digest).await, **digest);
    }
}

#[tokio::test]
async fn a_damaged_note_of_a_digest_or_one_without_its_link_is_ignored() {
    let server = with_blobs().await;
    let manifest = manifest(b"{}", b"layer");
    let bytes = manifest.to_string();
    let (sha256, sha512) =
        (Digest::sha256_of(bytes.as_bytes()), Digest::of(Algorithm::Sha512, bytes.as_bytes()));
    let note = Entry::TagDigest("a/b".parse().unwrap(), "one".parse().unwrap()).path();
    for content in
        ["rubbish".to_owned(), String::new(), sha512.to_string(), Digest::sha256_of(b"x").to_string()]
    {
        let driver = Arc::clone(server.registry.driver());
        let fresh = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
        fresh.put_manifest("a/b", "one", &manifest).await.expect(201);
        driver.put_content(&note, content.clone().into(), PutMode::Overwrite).await.unwrap();
        let fresh = Server::with(Setup { driver, ..Setup::default() });
        assert_eq!(told(&fresh, "one").await, sha256.to_string(), "{content}");
    }
}
