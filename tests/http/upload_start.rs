//! end-4, end-11: starts of uploads; uploads in one request; mounts instead.

use sampan::http::HttpOptions;
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_engine::oci::Digest;

use crate::support::Server;

#[tokio::test]
async fn an_upload_begins_with_a_session() {
    let server = Server::new();
    let answer =
        server.call("POST", "/v2/a/b/blobs/uploads/").header("host", "reg.example:5000").send().await;
    let answer = answer.expect(202);
    let id = answer.header("docker-upload-uuid");
    assert_eq!(answer.header("location"), format!("http://reg.example:5000/v2/a/b/blobs/uploads/{id}"));
    assert_eq!(answer.header("range"), "0-0");
    assert_eq!(answer.header("content-length"), "0");
    assert!(!answer.has_header("oci-chunk-min-length"));
}

#[tokio::test]
async fn the_collection_may_be_named_without_its_slash() {
    let server = Server::new();
    server.call("POST", "/v2/a/b/blobs/uploads").send().await.expect(202);
}

#[tokio::test]
async fn a_chunk_size_is_recommended_when_configured() {
    for (configured, header) in [(Some(65536), Some("65536")), (Some(0), None), (None, None)] {
        let options = HttpOptions { chunk_min_length: configured, ..HttpOptions::default() };
        let answer =
            Server::with_options(options).call("POST", "/v2/a/blobs/uploads/").send().await.expect(202);
        let value = answer.headers.get("oci-chunk-min-length").map(|value| value.to_str().unwrap());
        assert_eq!(value, header);
    }
}

#[tokio::test]
async fn locations_are_urls_that_the_client_can_reach() {
    let proxied =
        [("host", "inner:5000"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "reg.example")];
    let host = Some("https://pub.example".parse().unwrap());
    for (options, start) in [
        (HttpOptions::default(), "https://reg.example/v2/"),
        (HttpOptions { relative_urls: true, ..HttpOptions::default() }, "/v2/"),
        (HttpOptions { host, ..HttpOptions::default() }, "https://pub.example/v2/"),
    ] {
        let server = Server::with_options(options);
        let call = server.call("POST", "/v2/a/blobs/uploads/");
        let answer = proxied.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await;
        assert!(answer.header("location").starts_with(start), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_on_tls_gets_locations_with_https() {
    let peer = Peer { address: PeerAddress::Unix, scheme: Scheme::Https, client_certificate: None };
    let call =
        Server::new().call("POST", "/v2/a/blobs/uploads/").header("host", "reg.example").extension(peer);
    assert!(call.send().await.expect(202).header("location").starts_with("https://reg.example/v2/a/"));
}

#[tokio::test]
async fn a_whole_blob_goes_into_one_request() {
    let server = Server::new();
    let digest = Digest::sha256_of(b"content");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    for call in
        [server.call("POST", &path).body("content"), server.call("POST", &path).chunks(["con", "tent"])]
    {
        let answer = call.header("host", "h").send().await.expect(201);
        assert_eq!(answer.header("location"), format!("http://h/v2/a/blobs/{digest}"));
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(server.call("GET", answer.location_path()).send().await.expect(200).body, "content");
    }
}

#[tokio::test]
async fn a_digest_without_a_body_begins_an_upload() {
    let server = Server::new();
    let digest = Digest::sha256_of(b"content");
    let answer =
        server.call("POST", format!("/v2/a/blobs/uploads/?digest={digest}")).send().await.expect(202);
    let path = answer.location_path();
    server.call("PUT", format!("{path}?digest={digest}")).body("content").send().await.expect(201);
    // The digest of empty content needs no body to be a whole blob.
    let empty = Digest::sha256_of(b"");
    server.call("POST", format!("/v2/a/blobs/uploads/?digest={empty}")).send().await.expect(201);
    server.call("HEAD", format!("/v2/a/blobs/{empty}")).send().await.expect(200);
}

#[tokio::test]
async fn a_whole_blob_with_a_wrong_digest_leaves_nothing() {
    let server = Server::new();
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256_of(b"content"));
    server.call("POST", &path).body("other").send().await.expect_error(400, "DIGEST_INVALID");
    let short = server.call("POST", &path).chunks(["con"]).header("content-length", "7");
    short.send().await.expect_error(400, "SIZE_INVALID");
    let long = server.call("POST", &path).chunks(["content!"]).header("content-length", "7");
    long.send().await.expect_error(400, "SIZE_INVALID");
    server.call("POST", &path).vanishing_after(b"con").send().await.expect(400);
    server
        .call("POST", "/v2/a/blobs/uploads/?digest=sha256:x")
        .body("y")
        .send()
        .await
        .expect_error(400, "DIGEST_INVALID");
    assert_eq!(server.files().await, []);
}

#[tokio::test]
async fn the_algorithm_may_be_named_in_advance() {
    let server = Server::new();
    let digest = Digest::of(sampan_engine::oci::Algorithm::Sha512, b"content");
    let answer = server.call("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512").send().await.expect(202);
    let path = answer.location_path();
    server.call("PATCH", &path).body("content").send().await.expect(202);
    let answer = server.call("PUT", format!("{path}?digest={digest}")).send().await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    for unknown in ["md5", "SHA256", "sha1024"] {
        let answer =
            server.call("POST", format!("/v2/a/blobs/uploads/?digest-algorithm={unknown}")).send().await;
        let answer = answer.expect_error(400, "DIGEST_INVALID");
        assert!(answer.details()[0].as_str().unwrap().contains("sha256, sha384 or sha512"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_mount_sends_no_bytes() {
    let server = Server::new();
    let digest = server.push_blob("from/here", "content").await;
    for query in [
        format!("mount={digest}&from=from/here"),
        format!("mount={digest}&from=from%2Fhere"),
        format!("mount={digest}"),
    ] {
        let answer =
            server.call("POST", format!("/v2/to/there/blobs/uploads/?{query}")).send().await.expect(201);
        assert!(answer.header("location").ends_with(&format!("/v2/to/there/blobs/{digest}")));
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        server.call("GET", format!("/v2/to/there/blobs/{digest}")).send().await.expect(200);
        server.call("DELETE", format!("/v2/to/there/blobs/{digest}")).send().await.expect(202);
    }
}

#[tokio::test]
async fn an_impossible_mount_becomes_an_upload() {
    let server = Server::new();
    let (digest, unknown) = (server.push_blob("from", "content").await, Digest::sha256_of(b"unknown"));
    for query in [
        format!("mount={unknown}&from=from"),
        format!("mount={digest}&from=elsewhere"),
        format!("mount={digest}&from=NOT/A/NAME"),
        format!("mount={unknown}"),
        "mount=nonsense&from=from".to_owned(),
        "mount=&from=from".to_owned(),
        "from=from".to_owned(),
    ] {
        let answer = server.call("POST", format!("/v2/to/blobs/uploads/?{query}")).send().await.expect(202);
        assert!(answer.has_header("docker-upload-uuid"), "{query}");
    }
    server.call("GET", format!("/v2/to/blobs/{digest}")).send().await.expect_error(404, "BLOB_UNKNOWN");
}
