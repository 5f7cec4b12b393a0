//! end-12: referrers.

use sampan_engine::oci::Digest;
use sampan_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::support::image::{descriptor, manifest};
use crate::support::{Answer, Server};

/// Attaches an artifact to `subject`; returns its digest.
async fn attach(server: &Server, subject: &[u8], artifact_type: &str, seed: &str) -> Digest {
    server.push_blob("a/b", "{}").await;
    server.push_blob("a/b", "layer").await;
    let mut artifact = manifest(b"{}", b"layer");
    artifact["artifactType"] = artifact_type.into();
    artifact["annotations"] = json!({ "seed": seed });
    artifact["subject"] = descriptor(OCI_MANIFEST, subject);
    let digest = Digest::sha256_of(artifact.to_string().as_bytes());
    let answer = server.put_manifest("a/b", &digest.to_string(), &artifact).await.expect(201);
    assert_eq!(answer.header("oci-subject"), Digest::sha256_of(subject).to_string());
    digest
}

fn path(subject: &[u8]) -> String {
    format!("/v2/a/b/referrers/{}", Digest::sha256_of(subject))
}

fn digests(index: &Value) -> Vec<String> {
    let manifests = index["manifests"].as_array().unwrap();
    manifests.iter().map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect()
}

fn next_page(answer: &Answer) -> String {
    let link = answer.header("link");
    link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_subject_has_no_referrers() {
    let answer = Server::new().call("GET", path(b"unknown")).send().await.expect(200);
    assert_eq!(answer.header("content-type"), OCI_INDEX);
    assert_eq!(answer.json(), json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }));
    assert!(!answer.has_header("oci-filters-applied") && !answer.has_header("link"));
}

#[tokio::test]
async fn an_artifact_is_listed_even_before_its_subject_exists() {
    let server = Server::new();
    let digest = attach(&server, b"subject", "application/vnd.example.sbom", "1").await;
    attach(&server, b"another", "application/vnd.example.sbom", "2").await;
    let index = server.call("GET", path(b"subject")).send().await.expect(200).json();
    assert_eq!(digests(&index), [digest.to_string()]);
    let descriptor = &index["manifests"][0];
    assert_eq!(descriptor["mediaType"], OCI_MANIFEST);
    assert_eq!(descriptor["artifactType"], "application/vnd.example.sbom");
    assert_eq!(descriptor["annotations"], json!({ "seed": "1" }));
    assert!(descriptor["size"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_filter_is_applied_and_named_in_the_answer() {
    let server = Server::new();
    let wanted = attach(&server, b"subject", "application/vnd.a+json", "1").await;
    attach(&server, b"subject", "application/vnd.b+json", "2").await;
    for filter in ["application/vnd.a%2Bjson", "application/vnd.a+json", "application%2Fvnd.a%2Bjson"] {
        let answer = server
            .call("GET", format!("{}?artifactType={filter}", path(b"subject")))
            .send()
            .await
            .expect(200);
        assert_eq!(digests(&answer.json()), [wanted.to_string()], "{filter}");
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    }
    let none = server.call("GET", format!("{}?artifactType=x/y", path(b"subject"))).send().await.expect(200);
    assert_eq!(digests(&none.json()), [""; 0]);
    let unfiltered =
        server.call("GET", format!("{}?artifactType=", path(b"subject"))).send().await.expect(200);
    assert_eq!(digests(&unfiltered.json()).len(), 2);
    assert!(!unfiltered.has_header("oci-filters-applied"));
}

#[tokio::test]
async fn pages_follow_each_others_links_to_the_end() {
    let server = Server::new();
    let mut expected = Vec::new();
    for seed in ["1", "2", "3", "4", "5"] {
        expected.push(attach(&server, b"subject", "application/vnd.a+json", seed).await.to_string());
        attach(&server, b"subject", "application/vnd.b+json", seed).await;
    }
    expected.sort_unstable();
    let mut next = format!("{}?n=2&artifactType=application/vnd.a%2Bjson", path(b"subject"));
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let answer = server.call("GET", &next).send().await.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        seen.extend(digests(&answer.json()));
        pages += 1;
        if !answer.has_header("link") {
            break;
        }
        next = next_page(&answer);
    }
    assert_eq!((seen, pages), (expected, 3));
}

/// Clients must be able to read an answer, whatever artifacts exist.
#[tokio::test]
async fn no_page_is_longer_than_clients_can_read() {
    let server = Server::new();
    let mut expected = Vec::new();
    for seed in 0..70 {
        let seed = format!("{seed:05}").repeat(12_000);
        expected.push(attach(&server, b"subject", "application/vnd.a", &seed).await.to_string());
    }
    expected.sort_unstable();
    let (mut next, mut seen, mut pages) = (path(b"subject"), Vec::new(), 0);
    loop {
        let answer = server.call("GET", &next).send().await.expect(200);
        assert!(answer.body.len() <= 4 << 20, "a page has {} bytes", answer.body.len());
        seen.extend(digests(&answer.json()));
        pages += 1;
        if !answer.has_header("link") {
            break;
        }
        next = next_page(&answer);
    }
    assert_eq!((seen, pages), (expected, 2));
}

/// Every list of the subject would contain them.
#[tokio::test]
async fn annotations_that_lists_cannot_carry_are_refused() {
    let server = Server::new();
    server.push_blob("a/b", "{}").await;
    server.push_blob("a/b", "layer").await;
    let fixed = "application/vnd.a".len() + "a".len();
    for (length, subject, is_taken) in [
        ((64 << 10) - fixed, true, true),
        ((64 << 10) - fixed + 1, true, false),
        (1 << 20, true, false),
        (1 << 20, false, true),
    ] {
        let mut artifact = manifest(b"{}", b"layer");
        artifact["artifactType"] = "application/vnd.a".into();
        artifact["annotations"] = json!({ "a": "x".repeat(length) });
        if subject {
            artifact["subject"] = descriptor(OCI_MANIFEST, b"subject");
        }
        let before = server.files().await;
        let answer = server.put_manifest("a/b", "latest", &artifact).await;
        if is_taken {
            answer.expect(201);
            continue;
        }
        let answer = answer.expect_error(400, "MANIFEST_INVALID");
        let detail = answer.json()["errors"][0].to_string();
        for word in ["subject", "annotations", "artifactType", "65536", &(length + fixed).to_string()] {
            assert!(detail.contains(word), "{word} is not in {detail}");
        }
        assert_eq!(server.files().await, before);
    }
}

#[tokio::test]
async fn a_deleted_artifact_disappears_at_once() {
    let server = Server::new();
    let digest = attach(&server, b"subject", "application/vnd.a", "1").await;
    server.call("DELETE", format!("/v2/a/b/manifests/{digest}")).send().await.expect(202);
    let answer = server.call("GET", path(b"subject")).send().await.expect(200);
    assert_eq!(digests(&answer.json()), [""; 0]);
}

#[tokio::test]
async fn requests_outside_the_grammar_are_refused() {
    let server = Server::new();
    server.call("GET", "/v2/a/b/referrers/latest").send().await.expect_error(400, "DIGEST_INVALID");
    server.call("GET", "/v2/a/b/referrers/sha256:abc").send().await.expect_error(400, "DIGEST_INVALID");
    let path = path(b"subject");
    server.call("GET", format!("{path}?last=x")).send().await.expect_error(400, "DIGEST_INVALID");
    server.call("GET", format!("{path}?n=-1")).send().await.expect_error(400, "PAGINATION_NUMBER_INVALID");
}
