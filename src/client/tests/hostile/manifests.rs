//! Manifests, and the referrers of one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sampan_client::Problem;
use sampan_engine::oci::media_type::{DOCKER_LIST, OCI_INDEX, OCI_MANIFEST};
use sampan_engine::oci::{Algorithm, Digest, Reference};
use serde_json::json;

use crate::server::{Reply, Server};
use crate::support::{Waits, digest, options, repository};

const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_manifest_has_the_digest_that_was_asked_for_or_announced() {
    let sha512 = Digest::of(Algorithm::Sha512, INDEX.as_bytes());
    let other = digest(b"other");
    let right = digest(INDEX.as_bytes());
    for (asked, announced, expected) in [
        ("latest".to_owned(), None, Some(right.clone())),
        ("latest".to_owned(), Some(right.to_string()), Some(right.clone())),
        ("latest".to_owned(), Some(sha512.to_string()), Some(sha512.clone())),
        ("latest".to_owned(), Some("rubbish".to_owned()), Some(right.clone())),
        (right.to_string(), None, Some(right.clone())),
        (sha512.to_string(), Some(right.to_string()), Some(sha512.clone())),
        // Wrong content.
        ("latest".to_owned(), Some(other.to_string()), None),
        (other.to_string(), Some(other.to_string()), None),
    ] {
        let header = announced.clone();
        let server = Server::start(move |_| {
            let reply =
                Reply::new(200).header("Content-Type", format!("{OCI_INDEX}; charset=utf-8")).body(INDEX);
            match &header {
                Some(announced) => reply.header("Docker-Content-Digest", announced),
                None => reply,
            }
        })
        .await;
        let read = repository(&server, options(&Waits::default())).manifest(&reference(&asked)).await;
        match expected {
            Some(digest) => {
                let manifest = read.unwrap().unwrap();
                assert_eq!((manifest.digest, manifest.media_type.as_str()), (digest, OCI_INDEX));
                assert_eq!(manifest.bytes, INDEX);
            }
            None => assert!(
                matches!(read.unwrap_err().problem(), Problem::Digest { .. }),
                "{asked} {announced:?}"
            ),
        }
        let accept = server.seen()[0].header("accept").unwrap().to_owned();
        assert!(accept.contains(OCI_MANIFEST) && accept.contains(DOCKER_LIST), "{accept}");
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_judged_is_refused() {
    for (reply, reason) in [
        (Reply::new(200).body(vec![b' '; (4 << 20) + 1]), "exceeds the limit of 4194304"),
        (Reply::new(200).body(vec![b' '; (4 << 20) + 1]).announcing(None), "exceeds the limit of 4194304"),
        (
            Reply::new(200)
                .header("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
                .body("{}"),
            "schema 1",
        ),
        // Of a captive portal, which answers everything with 200.
        (Reply::new(200).body("<html>"), "no JSON object"),
        (Reply::new(200).json(r#"{"login":"here"}"#), "it is no manifest"),
        (Reply::new(200).header("Content-Type", OCI_MANIFEST).body("{}"), "it is no manifest"),
    ] {
        let server = Server::start(move |_| reply.clone()).await;
        let error =
            repository(&server, options(&Waits::default())).manifest(&reference("a")).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(|_| Reply::new(404)).await;
    assert!(
        repository(&server, options(&Waits::default())).manifest(&reference("a")).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn a_media_type_that_is_none_is_replaced_by_the_documents_own() {
    let server = Server::start(|_| Reply::new(200).header("Content-Type", "text/html").body(INDEX)).await;
    let manifest =
        repository(&server, options(&Waits::default())).manifest(&reference("a")).await.unwrap().unwrap();
    assert_eq!(manifest.media_type, OCI_INDEX);
}

#[tokio::test]
async fn a_digest_is_asked_for_without_reading_the_manifest_where_possible() {
    let right = digest(INDEX.as_bytes());
    for (head, expected_requests) in [
        (
            Reply::new(200)
                .header("Docker-Content-Digest", &right)
                .header("Content-Type", OCI_INDEX)
                .body(INDEX),
            vec!["HEAD"],
        ),
        (Reply::new(200).header("Content-Type", OCI_INDEX), vec!["HEAD", "GET"]),
        (Reply::new(405), vec!["HEAD", "GET"]),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => head.clone(),
            _ => Reply::new(200).header("Content-Type", OCI_INDEX).body(INDEX),
        })
        .await;
        let info =
            repository(&server, options(&Waits::default())).manifest_info(&reference("a")).await.unwrap();
        let info = info.unwrap();
        assert_eq!((info.digest, info.size_bytes), (right.clone(), Some(INDEX.len() as u64)));
        assert_eq!(
            server.seen().iter().map(|seen| seen.method.clone()).collect::<Vec<_>>(),
            expected_requests
        );
    }
    let server = Server::start(|_| {
        Reply::new(200).header("Docker-Content-Digest", digest(b"other")).header("Content-Type", OCI_INDEX)
    })
    .await;
    let asked = Reference::Digest(right);
    let error = repository(&server, options(&Waits::default())).manifest_info(&asked).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Digest { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_stored_something_else_is_found_out() {
    let server = Server::start(|_| Reply::new(201).header("Docker-Content-Digest", digest(b"other"))).await;
    let repository = repository(&server, options(&Waits::default()));
    let error = repository.put_manifest(&reference("a"), OCI_INDEX, INDEX.into()).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Digest { .. }), "{error}");
    assert_eq!(server.seen()[0].header("content-type"), Some(OCI_INDEX));
    let error = repository
        .put_manifest(&Reference::Digest(digest(b"other")), OCI_INDEX, INDEX.into())
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::Digest { .. }), "{error}");
}

/// A registry of manifests without the referrers API; each write of a tag that `overwritten` counts down loses its entries
/// to another client.
async fn old_registry(overwritten: u32) -> (Server, Arc<Mutex<HashMap<String, Vec<u8>>>>) {
    let stored = Arc::<Mutex<HashMap<String, Vec<u8>>>>::default();
    let (store, left) = (stored.clone(), Mutex::new(overwritten));
    let server = Server::start(move |seen| {
        let Some(name) = seen.path().strip_prefix("/v2/team/app/manifests/") else { return Reply::new(404) };
        let mut store = store.lock().unwrap();
        if seen.method == "PUT" {
            let mut body = seen.body.clone();
            let mut left = left.lock().unwrap();
            if name.starts_with("sha256-") && *left > 0 {
                *left -= 1;
                body = INDEX.into();
            }
            store.insert(name.to_owned(), body);
            return Reply::new(201);
        }
        match store.get(name) {
            Some(bytes) => Reply::new(200).header("Content-Type", OCI_INDEX).body(bytes.clone()),
            None => Reply::new(404),
        }
    })
    .await;
    (server, stored)
}

fn referrer(subject: &Digest, kind: &str) -> Bytes {
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": empty, "layers": [empty],
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 5},
        "annotations": {"kind": kind},
    });
    manifest.to_string().into()
}

#[tokio::test]
async fn a_referrer_is_added_to_the_fallback_tag_where_the_registry_has_no_api() {
    let (server, stored) = old_registry(0).await;
    let repository = repository(&server, options(&Waits::default()));
    let subject = digest(b"image");
    for kind in ["a/sbom", "a/signature", "a/sbom"] {
        let bytes = referrer(&subject, kind);
        let by_digest = Reference::Digest(digest(&bytes));
        let put = repository.put_manifest(&by_digest, OCI_MANIFEST, bytes).await.unwrap();
        assert!(put.updated_fallback_tag);
    }
    assert!(stored.lock().unwrap().contains_key(&format!("sha256-{}", subject.hex())));
    let all = repository.referrers(&subject, None).await.unwrap();
    assert_eq!(all.len(), 2);
    let [sbom] = &repository.referrers(&subject, Some("a/sbom")).await.unwrap()[..] else { panic!() };
    assert_eq!(sbom.digest, digest(&referrer(&subject, "a/sbom")));
    assert_eq!(sbom.annotations["kind"], "a/sbom");
    assert!(repository.referrers(&digest(b"other"), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_overwritten_fallback_tag_is_written_again_but_not_for_ever() {
    let subject = digest(b"image");
    let bytes = referrer(&subject, "a/sbom");
    let by_digest = Reference::Digest(digest(&bytes));
    let (server, _) = old_registry(3).await;
    let lucky = repository(&server, options(&Waits::default()));
    lucky.put_manifest(&by_digest, OCI_MANIFEST, bytes.clone()).await.unwrap();
    assert_eq!(lucky.referrers(&subject, None).await.unwrap().len(), 1);
    let (server, _) = old_registry(u32::MAX).await;
    let unlucky = repository(&server, options(&Waits::default()));
    let error = unlucky.put_manifest(&by_digest, OCI_MANIFEST, bytes).await.unwrap_err();
    assert!(error.to_string().contains("keep overwriting"), "{error}");
}

#[tokio::test]
async fn a_registry_with_the_api_needs_no_fallback_tag() {
    let subject = digest(b"image");
    let header = subject.clone();
    let listed = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": digest(b"r"), "size": 5, "artifactType": "a/b"},
    ]});
    let server = Server::start(move |seen| match seen.method.as_str() {
        "PUT" => Reply::new(201).header("OCI-Subject", &header),
        _ => Reply::new(200).header("Content-Type", OCI_INDEX).body(listed.to_string()),
    })
    .await;
    let repository = repository(&server, options(&Waits::default()));
    let bytes = referrer(&subject, "a/b");
    let put = repository.put_manifest(&Reference::Digest(digest(&bytes)), OCI_MANIFEST, bytes).await.unwrap();
    assert!(!put.updated_fallback_tag);
    assert_eq!(repository.referrers(&subject, None).await.unwrap().len(), 1);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn answers_that_are_no_list_of_referrers_lead_to_the_fallback_tag() {
    for reply in
        [Reply::new(404), Reply::new(405), Reply::new(200).header("Content-Type", "text/html").body("<html>")]
    {
        let server = Server::start(move |seen| match seen.path().contains("/referrers/") {
            true => reply.clone(),
            false => Reply::new(404),
        })
        .await;
        let referrers = repository(&server, options(&Waits::default())).referrers(&digest(b"x"), None).await;
        assert!(referrers.unwrap().is_empty());
        assert_eq!(server.seen().len(), 2);
    }
}
