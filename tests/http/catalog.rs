//! `_catalog`: the list of repositories.

use sampan::http::HttpOptions;
use serde_json::json;

use crate::support::Server;

async fn with_repositories(catalog_max_entries: usize, names: &[&str]) -> Server {
    let server = Server::with_options(HttpOptions { catalog_max_entries, ..HttpOptions::default() });
    for name in names {
        server.push_image(name, "latest", "x").await;
    }
    server
}

#[tokio::test]
async fn an_empty_registry_has_an_empty_catalog() {
    let answer = Server::new().call("GET", "/v2/_catalog").send().await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": [] }));
    assert!(answer.body.ends_with(b"}\n"), "curl leaves the prompt behind it: {answer:?}");
    assert!(!answer.has_header("link"));
}

#[tokio::test]
async fn pages_follow_each_others_links_to_the_end() {
    let server = with_repositories(1000, &["a", "a/b", "c", "d/e"]).await;
    let first = server.call("GET", "/v2/_catalog?n=2").send().await.expect(200);
    assert_eq!(first.json()["repositories"], json!(["a", "a/b"]));
    assert_eq!(first.header("link"), "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"");
    let second = server.call("GET", "/v2/_catalog?last=a%2Fb&n=2").send().await.expect(200);
    assert_eq!(second.json()["repositories"], json!(["c", "d/e"]));
    assert!(!second.has_header("link"));
}

#[tokio::test]
async fn more_than_the_configured_maximum_is_refused() {
    let server = with_repositories(2, &["a", "b", "c"]).await;
    for n in ["3", "-1", "x"] {
        let answer = server.call("GET", format!("/v2/_catalog?n={n}")).send().await;
        let answer = answer.expect_error(400, "PAGINATION_NUMBER_INVALID");
        assert_eq!(answer.details(), [json!({ "n": n })]);
    }
    let answer = server.call("GET", "/v2/_catalog").send().await.expect(200);
    assert_eq!(answer.json()["repositories"], json!(["a", "b"]));
    assert!(answer.has_header("link"));
    let none = server.call("GET", "/v2/_catalog?n=0").send().await.expect(200);
    assert_eq!(none.json()["repositories"], json!([]));
}

#[tokio::test]
async fn a_link_keeps_the_prefix() {
    let prefix = "/reg/".parse().unwrap();
    let server =
        Server::with_options(HttpOptions { prefix, catalog_max_entries: 1, ..HttpOptions::default() });
    for name in ["a", "b"] {
        let start = server.call("PUT", format!("/reg/v2/{name}/manifests/latest"));
        let index =
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        start
            .header("content-type", "application/vnd.oci.image.index.v1+json")
            .body(index)
            .send()
            .await
            .expect(201);
    }
    let answer = server.call("GET", "/reg/v2/_catalog").send().await.expect(200);
    assert_eq!(answer.header("link"), "</reg/v2/_catalog?last=a&n=1>; rel=\"next\"");
}
