//! A registry over a bundle answers as the registry that the bundle came from, but for writes.

use sampan_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use sampan_engine::oci::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::support::image::{descriptor, manifest, noise};
use crate::support::{Answer, BundleFile, Server};

/// A registry with images, an index, referrers, a sha512 digest and a large layer, and the paths of all that clients can ask.
async fn near() -> (Server, Vec<String>) {
    let server = Server::new();
    let large = noise(3_000_000);
    let image = server.push_image("team/app", "1.0", "one").await;
    for tag in ["1.0-a", "1.0.a", "latest", "_"] {
        server.put_manifest("team/app", tag, &serde_json::from_slice(&image).unwrap()).await.expect(201);
    }
    server.push_image("team/app/nested", "x", "two").await;
    server.push_image("team-b", "x", "three").await;
    let config = "{}";
    server.push_blob("large", config).await;
    server.push_blob("large", large.clone()).await;
    let of_large = manifest(config.as_bytes(), &large);
    let bytes = of_large.to_string();
    let long = Digest::of(Algorithm::Sha512, bytes.as_bytes());
    server.put_manifest("large", &format!("{long}?tag=long"), &of_large).await.expect(201);
    let child = descriptor(OCI_MANIFEST, &image);
    let index: Value = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
    server.put_manifest("team/app", "all", &index).await.expect(201);
    let subject = Digest::sha256_of(&image);
    for number in 0..3 {
        let mut artifact = manifest(br#"{"seed":"one"}"#, b"layer");
        artifact["artifactType"] = ["a/sbom", "a/signature", "a/sbom"][number].into();
        artifact["annotations"] = json!({ "number": number.to_string() });
        artifact["subject"] = descriptor(OCI_MANIFEST, &image);
        let digest = Digest::sha256_of(artifact.to_string().as_bytes());
        server.put_manifest("team/app", &digest.to_string(), &artifact).await.expect(201);
    }
    let layer = Digest::sha256_of(&large);
    let paths = [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/_catalog?n=2".to_owned(),
        "/v2/_catalog?n=2&last=team/app".to_owned(),
        "/v2/team/app/tags/list".to_owned(),
        "/v2/team/app/tags/list?n=2".to_owned(),
        "/v2/team/app/tags/list?n=2&last=1.0".to_owned(),
        "/v2/large/tags/list".to_owned(),
        "/v2/team/tags/list".to_owned(),
        "/v2/team/app/manifests/1.0".to_owned(),
        "/v2/team/app/manifests/all".to_owned(),
        "/v2/team/app/manifests/none".to_owned(),
        format!("/v2/team/app/manifests/{subject}"),
        format!("/v2/team-b/manifests/{subject}"),
        "/v2/large/manifests/long".to_owned(),
        format!("/v2/large/manifests/{long}"),
        format!("/v2/large/manifests/{}", Digest::sha256_of(bytes.as_bytes())),
        format!("/v2/team/app/referrers/{subject}"),
        format!("/v2/team/app/referrers/{subject}?artifactType=a/sbom"),
        format!("/v2/team-b/referrers/{subject}"),
        format!("/v2/large/blobs/{layer}"),
        format!("/v2/team/app/blobs/{layer}"),
        format!("/v2/team/app/blobs/{}", Digest::sha256_of(b"layer")),
    ];
    (server, paths.to_vec())
}

/// Sends a request; the answer without the number of the request.
async fn ask(server: &Server, method: &str, path: &str, range: Option<&str>) -> Answer {
    let mut call = server.call(method, path);
    if let Some(range) = range {
        call = call.header("range", range);
    }
    let mut answer = call.send().await;
    answer.headers.remove("x-request-id");
    answer
}

#[tokio::test]
async fn every_answer_is_that_of_the_registry_it_came_from() {
    let (near, paths) = near().await;
    let far = BundleFile::of(&near.registry).await.serve().await;
    for path in &paths {
        for method in ["GET", "HEAD"] {
            let expected = ask(&near, method, path, None).await;
            let found = ask(&far, method, path, None).await;
            assert_eq!(
                (found.status, &found.headers),
                (expected.status, &expected.headers),
                "{method} {path}"
            );
            assert!(found.body == expected.body, "{method} {path}: {found:?} instead of {expected:?}");
        }
    }
}

#[tokio::test]
async fn parts_of_a_blob_are_those_of_the_registry_it_came_from() {
    let (near, paths) = near().await;
    let bundle = BundleFile::of(&near.registry).await;
    let path = paths.iter().find(|path| path.starts_with("/v2/large/blobs/")).unwrap();
    for range in [
        "bytes=0-0",
        "bytes=1000000-2000000",
        "bytes=-5",
        "bytes=2999999-",
        "bytes=3000000-",
        "bytes=0-1,5-6",
    ] {
        // A new process each time, in which nothing is verified.
        let far = bundle.serve().await;
        for _ in 0..2 {
            let expected = ask(&near, "GET", path, Some(range)).await;
            let found = ask(&far, "GET", path, Some(range)).await;
            assert_eq!(found.status, expected.status, "{range}");
            if range.contains(',') {
                // The border between parts is a random text.
                assert_eq!(found.body.len(), expected.body.len());
                continue;
            }
            assert_eq!(found.headers, expected.headers, "{range}");
            assert!(found.body == expected.body, "{range}");
        }
    }
}

#[tokio::test]
async fn pages_lead_to_all_repositories_tags_and_referrers() {
    let (near, paths) = near().await;
    let far = BundleFile::of(&near.registry).await.serve().await;
    for path in paths.iter().filter(|path| path.ends_with("n=2") || path.contains("/referrers/")) {
        let mut next = Some(path.clone());
        let mut pages = 0;
        while let Some(path) = next {
            let (expected, found) = (
                near.call("GET", &path).send().await.expect(200),
                far.call("GET", &path).send().await.expect(200),
            );
            assert_eq!(found.json(), expected.json(), "{path}");
            let link = found.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
            next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
            pages += 1;
        }
        assert!(pages > 1 || !path.ends_with("n=2"), "{path} has one page");
    }
}

#[tokio::test]
async fn every_write_is_405() {
    let (near, _) = near().await;
    let far = BundleFile::of(&near.registry).await.serve().await;
    let digest = Digest::sha256_of(b"layer");
    let upload = "/v2/team/app/blobs/uploads/2b6e7d2c-3a3f-4f0e-9a62-6f6f6a0d7c11";
    let image = manifest(b"{}", b"layer");
    far.put_manifest("team/app", "new", &image).await.expect_error(405, "UNSUPPORTED");
    for (method, path) in [
        ("POST", "/v2/team/app/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/team/app/blobs/uploads/?mount={digest}&from=team-b")),
        ("POST", format!("/v2/new/blobs/uploads/?digest={digest}")),
        ("PATCH", upload.to_owned()),
        ("PUT", format!("{upload}?digest={digest}")),
        ("DELETE", upload.to_owned()),
        ("DELETE", format!("/v2/team/app/blobs/{digest}")),
        ("DELETE", "/v2/team/app/manifests/1.0".to_owned()),
        ("DELETE", format!("/v2/team/app/manifests/{digest}")),
    ] {
        let answer = far.call(method, &path).body("layer").send().await;
        let answer = answer.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), "GET, HEAD", "{method} {path}");
        assert_eq!(answer.details(), ["the registry is read-only: it serves bundles"], "{method} {path}");
    }
    far.call("GET", "/v2/team/app/manifests/1.0").send().await.expect(200);
}
