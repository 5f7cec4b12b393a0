//! Manifests from another registry or an earlier version: every manifest that matches its digest is served.

use std::sync::Arc;

use sampan_driver::{PutMode, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::media_type::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST,
};
use sampan_engine::oci::{Digest, Tag};

use crate::support::{Server, Setup};

const NAME: &str = "a/b";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A server over a store with `content` as a manifest, and a tag.
async fn serving(content: &str, tag: &str) -> (Server, Digest) {
    let driver = Arc::new(InMemoryDriver::new());
    let (digest, tag): (_, Tag) = (Digest::sha256_of(content.as_bytes()), tag.parse().unwrap());
    let link = digest.to_string();
    for (entry, content) in [
        (Entry::Blob(digest.clone()), content),
        (Entry::RevisionLink(NAME.parse().unwrap(), digest.clone()), &link),
        (Entry::TagCurrent(NAME.parse().unwrap(), tag), &link),
    ] {
        driver.put_content(&entry.path(), content.to_owned().into(), PutMode::Overwrite).await.unwrap();
    }
    (Server::with(Setup { driver, ..Setup::default() }), digest)
}

#[tokio::test]
async fn a_manifest_that_matches_its_digest_is_served_with_its_own_or_a_guessed_type() {
    let layer = format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{DIGEST}"}}"#);
    let config =
        format!(r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":0}}"#);
    let image = |rest: &str| format!(r#"{{"schemaVersion":2,"config":{config},{rest}}}"#);
    let index =
        |rest: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{{rest}}}]}}"#);
    let schema1 = |rest: &str| {
        format!(
            r#"{{"schemaVersion":1,"name":"a/b","tag":"1","fsLayers":[{{"blobSum":"{DIGEST}"}}],"history":[]{rest}}}"#
        )
    };
    for (content, media_type) in [
        // Manifests that once caused a 500: a layer or a child without `size`, and others.
        (image(&format!(r#""layers":[{layer}]"#)), OCI_MANIFEST),
        (image(&format!(r#""layers":[{{"mediaType":"a/b","size":-1,"digest":"{DIGEST}"}}]"#)), OCI_MANIFEST),
        (index(&format!(r#""mediaType":"{OCI_MANIFEST}","digest":"{DIGEST}""#)), OCI_INDEX),
        (
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{"digest":"{DIGEST}"}},"layers":[]}}"#
            ),
            DOCKER_MANIFEST,
        ),
        (image(r#""annotations":{"a":null},"layers":[]"#), OCI_MANIFEST),
        (image(&format!(r#""layers":[{{"mediaType":null,"size":0,"digest":"{DIGEST}"}}]"#)), OCI_MANIFEST),
        (
            index(&format!(
                r#""digest":"{DIGEST}","size":1,"platform":{{"architecture":null,"os":"linux"}}"#
            )),
            OCI_INDEX,
        ),
        (image(r#""layers":[],"layers":[]"#), OCI_MANIFEST),
        (
            image(&format!(r#""mediaType":"{DOCKER_LIST}","mediaType":"{OCI_MANIFEST}","layers":[]"#)),
            OCI_MANIFEST,
        ),
        (schema1(""), DOCKER_SCHEMA1),
        (schema1(r#","signatures":[{"header":{},"signature":"x","protected":"x"}]"#), DOCKER_SCHEMA1_SIGNED),
        (format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","layers":[{layer}]}}"#), OCI_MANIFEST),
        (r#"{"schemaVersion":2,"layers":[]}"#.to_owned(), OCI_MANIFEST),
        // Kinds that this registry does not know.
        (
            r#"{"schemaVersion":2,"mediaType":"application/vnd.example.thing.v9+json"}"#.to_owned(),
            "application/vnd.example.thing.v9+json",
        ),
        (r#"{"schemaVersion":3,"manifests":[]}"#.to_owned(), OCI_INDEX),
        // A browser would execute it.
        (
            r#"{"schemaVersion":2,"mediaType":"text/html","x":"<script>alert(1)</script>"}"#.to_owned(),
            OCI_MANIFEST,
        ),
        ("no JSON at all".to_owned(), OCI_MANIFEST),
    ] {
        let (server, digest) = serving(&content, "1").await;
        for reference in ["1".to_owned(), digest.to_string()] {
            for method in ["GET", "HEAD", "GET"] {
                let answer =
                    server.call(method, format!("/v2/{NAME}/manifests/{reference}")).send().await.expect(200);
                assert_eq!(answer.header("content-type"), media_type, "{method} {content}");
                assert_eq!(answer.header("docker-content-digest"), digest.to_string(), "{content}");
                assert_eq!(answer.header("content-length"), content.len().to_string(), "{content}");
                if method == "GET" {
                    assert_eq!(answer.body, content, "{content}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_manifest_that_does_not_match_its_digest_is_not_served() {
    let (server, digest) = serving(r#"{"schemaVersion":1}"#, "1").await;
    let damaged = Entry::Blob(digest.clone()).path();
    server
        .registry
        .driver()
        .put_content(&damaged, r#"{"schemaVersion":9}"#.into(), PutMode::Overwrite)
        .await
        .unwrap();
    for reference in ["1".to_owned(), digest.to_string()] {
        server.call("GET", format!("/v2/{NAME}/manifests/{reference}")).send().await.expect(500);
    }
}

#[tokio::test]
async fn an_odd_manifest_under_the_fallback_tag_leaves_referrers_alone() {
    let odd = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{DIGEST}"}}]}}"#
    );
    for content in [odd.as_str(), r#"{"schemaVersion":1,"fsLayers":[]}"#, "rubbish"] {
        let (server, _) = serving(content, &DIGEST.replace(':', "-")).await;
        let answer = server.call("GET", format!("/v2/{NAME}/referrers/{DIGEST}")).send().await.expect(200);
        assert_eq!(answer.header("content-type"), OCI_INDEX);
    }
}

#[tokio::test]
async fn an_old_client_gets_the_child_of_a_list_in_which_something_else_is_odd() {
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{DOCKER_LIST}","manifests":[
            7, {{"digest":"rubbish","platform":{{"architecture":null}}}},
            {{"digest":"{DIGEST}","platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#
    );
    let (server, _) = serving(&list, "1").await;
    let call = server.call("GET", format!("/v2/{NAME}/manifests/1")).header("accept", DOCKER_MANIFEST);
    // The list names the child, but the store lacks it.
    let answer = call.send().await;
    let details = answer.expect_error(404, "MANIFEST_UNKNOWN").details();
    assert_eq!(details[0]["Revision"], DIGEST, "{details:?}");
}
