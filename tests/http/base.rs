//! end-1: `/v2/`, and `/`; headers of every answer; methods; unknown paths.

use http::HeaderMap;
use sampan::http::HttpOptions;

use crate::support::Server;

#[tokio::test]
async fn the_root_is_for_probes() {
    let server = Server::new();
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        let answer = server.call(method, "/").send().await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert!(answer.body.is_empty());
        assert!(!answer.has_header("docker-distribution-api-version"));
    }
}

#[tokio::test]
async fn the_base_is_an_empty_object() {
    let answer = Server::new().call("GET", "/v2/").send().await.expect(200);
    assert_eq!(&answer.body[..], b"{}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-length"), "2");
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    let head = Server::new().call("HEAD", "/v2/").send().await.expect(200);
    assert_eq!(head.header("content-length"), "2");
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn missing_and_superfluous_slashes_are_corrected() {
    let server = Server::new();
    for (path, location) in [
        ("/v2", "/v2/"),
        ("/v2/_catalog/?n=1", "/v2/_catalog?n=1"),
        ("/v2/a/b/tags/list/", "/v2/a/b/tags/list"),
    ] {
        let answer = server.call("GET", path).send().await.expect(301);
        assert_eq!(answer.header("location"), location);
    }
}

#[tokio::test]
async fn paths_of_no_endpoint_get_plain_text() {
    let server = Server::new();
    for path in
        ["/v1/", "/v2/a", "/v2/a/b/c", "/v2//", "/v2/manifests/latest", "/v2/a/manifests/", "/favicon.ico"]
    {
        let answer = server.call("GET", path).send().await.expect(404);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(&answer.body[..], b"404 page not found\n");
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_allowed_ones() {
    let server = Server::new();
    let digest = sampan_engine::oci::Digest::sha256_of(b"");
    for (path, allow) in [
        ("/v2/".to_owned(), "GET, HEAD"),
        ("/v2/_catalog".to_owned(), "GET, HEAD"),
        ("/v2/a/b/tags/list".to_owned(), "GET, HEAD"),
        (format!("/v2/a/b/referrers/{digest}"), "GET, HEAD"),
        (format!("/v2/a/b/blobs/{digest}"), "DELETE, GET, HEAD"),
        ("/v2/a/b/manifests/latest".to_owned(), "DELETE, GET, HEAD, PUT"),
        ("/v2/a/b/blobs/uploads/".to_owned(), "POST"),
        ("/v2/a/b/blobs/uploads/some-id".to_owned(), "DELETE, GET, HEAD, PATCH, PUT"),
    ] {
        let answer = server.call("TRACE", &path).send().await.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allow, "{path}");
        let options = server.call("OPTIONS", &path).send().await.expect(200);
        assert_eq!(options.header("allow"), allow, "{path}");
        // An allowed method gets past the method check.
        for method in allow.split(", ") {
            let answer = server.call(method, &path).send().await;
            assert_ne!(answer.status, 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn configured_headers_are_added_to_every_answer_of_the_api() {
    let mut headers = HeaderMap::new();
    headers.append("x-content-type-options", "nosniff".parse().unwrap());
    headers.append("access-control-allow-origin", "*".parse().unwrap());
    let server = Server::with_options(HttpOptions { headers, ..HttpOptions::default() });
    for path in ["/v2/", "/v2/no/such/path", "/v2/A/tags/list", "/v2/a%2Fb/tags/list"] {
        let answer = server.call("GET", path).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0", "{path}");
    }
    assert!(!server.call("GET", "/").send().await.has_header("x-content-type-options"));
}

#[tokio::test]
async fn a_configured_header_does_not_come_beside_the_answers_own() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", "text/plain"), ("x-two", "a"), ("x-two", "b")] {
        headers.append(name, value.parse().unwrap());
    }
    let server = Server::with_options(HttpOptions { headers, ..HttpOptions::default() });
    let answer = server.call("GET", "/v2/_catalog").send().await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn everything_but_the_root_is_below_the_prefix() {
    let prefix = "/reg/".parse().unwrap();
    let server = Server::with_options(HttpOptions { prefix, ..HttpOptions::default() });
    server.call("GET", "/").send().await.expect(200);
    server.call("GET", "/reg/v2/").send().await.expect(200);
    server.call("GET", "/v2/").send().await.expect(404);
    server.call("GET", "/reg/").send().await.expect(404);
    let answer = server.call("GET", "/reg/v2").send().await.expect(301);
    assert_eq!(answer.header("location"), "/reg/v2/");
    let answer =
        server.call("POST", "/reg/v2/a/b/blobs/uploads/").header("host", "h").send().await.expect(202);
    assert!(answer.header("location").starts_with("http://h/reg/v2/a/b/blobs/uploads/"));
    server.call("GET", answer.location_path()).send().await.expect(204);
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let server = Server::new();
    let given = server.call("GET", "/v2/").header("x-request-id", "abc-1").send().await;
    assert_eq!(given.header("x-request-id"), "abc-1");
    let own = server.call("GET", "/nowhere").header("x-request-id", "a b\"").send().await;
    assert_eq!(own.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn an_error_to_head_has_no_body() {
    let server = Server::new();
    for path in ["/v2/a/manifests/latest", "/v2/A/manifests/latest", "/v2/a%2Fb/manifests/latest", "/nowhere"]
    {
        let answer = server.call("HEAD", path).send().await;
        assert!(answer.status.is_client_error() && answer.body.is_empty(), "{path}: {answer:?}");
    }
}
