//! end-8: tags.

use std::sync::Arc;

use sampan::http::HttpOptions;
use sampan_engine::oci::Digest;
use sampan_engine::oci::media_type::OCI_MANIFEST;
use serde_json::{Value, json};

use crate::support::failing_driver::Misbehaviour;
use crate::support::{FailingDriver, Server, Setup};

async fn with_tags(tags_max: usize, tags: &[&str]) -> Server {
    let server = Server::with_options(HttpOptions { tags_max, ..HttpOptions::default() });
    for tag in tags {
        server.push_image("a/b", tag, "x").await;
    }
    server
}

#[tokio::test]
async fn all_tags_come_at_once_without_a_page_size() {
    let server = with_tags(2, &["v2", "latest", "V1", "v10"]).await;
    let answer = server.call("GET", "/v2/a/b/tags/list").send().await.expect(200);
    assert_eq!(answer.json(), json!({ "name": "a/b", "tags": ["V1", "latest", "v10", "v2"] }));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.body.ends_with(b"}\n"), "curl leaves the prompt behind it: {answer:?}");
    let page = server.call("GET", "/v2/a/b/tags/list?n=1").send().await.expect(200);
    assert!(page.body.ends_with(b"}\n"), "{page:?}");
    assert!(!answer.has_header("link"));
    server.call("HEAD", "/v2/a/b/tags/list").send().await.expect(200);
}

#[tokio::test]
async fn pages_follow_each_others_links_to_the_end() {
    let server = with_tags(1000, &["a", "b", "c", "d", "e"]).await;
    let (mut path, mut seen) = ("/v2/a/b/tags/list?n=2".to_owned(), Vec::new());
    for _ in 0..3 {
        let answer = server.call("GET", &path).send().await.expect(200);
        seen.push(answer.json()["tags"].clone());
        if !answer.has_header("link") {
            break;
        }
        let link = answer.header("link");
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, [json!(["a", "b"]), json!(["c", "d"]), json!(["e"])]);
}

#[tokio::test]
async fn a_page_is_cut_to_the_configured_maximum() {
    let server = with_tags(2, &["a", "b", "c"]).await;
    let answer = server.call("GET", "/v2/a/b/tags/list?n=100").send().await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["a", "b"]));
    assert_eq!(answer.header("link"), "</v2/a/b/tags/list?last=b&n=2>; rel=\"next\"");
}

#[tokio::test]
async fn the_last_page_has_no_link() {
    let server = with_tags(1000, &["a", "b"]).await;
    let answer = server.call("GET", "/v2/a/b/tags/list?n=2").send().await.expect(200);
    assert!(!answer.has_header("link"), "{answer:?}");
}

#[tokio::test]
async fn last_need_not_exist() {
    let server = with_tags(1000, &["a", "c"]).await;
    for (query, tags) in [
        ("last=b", json!(["c"])),
        ("last=c", json!([])),
        ("last=zzz", json!([])),
        ("n=0", json!([])),
        ("n=1&last=", json!(["a"])),
    ] {
        let answer = server.call("GET", format!("/v2/a/b/tags/list?{query}")).send().await.expect(200);
        assert_eq!(answer.json()["tags"], tags, "{query}");
    }
}

#[tokio::test]
async fn a_count_that_makes_no_sense_is_refused() {
    let server = with_tags(1000, &["a"]).await;
    for n in ["-1", "x", "1.5", "99999999999999999999999"] {
        let answer = server.call("GET", format!("/v2/a/b/tags/list?n={n}")).send().await;
        answer.expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test]
async fn an_unknown_repository_has_no_list() {
    let answer =
        Server::new().call("GET", "/v2/no/body/tags/list").send().await.expect_error(404, "NAME_UNKNOWN");
    assert_eq!(answer.details(), [json!({ "name": "no/body" })]);
}

#[tokio::test]
async fn a_deleted_tag_is_gone_at_once() {
    let server = with_tags(1000, &["a", "b"]).await;
    server.call("DELETE", "/v2/a/b/manifests/a").send().await.expect(202);
    let answer = server.call("GET", "/v2/a/b/tags/list").send().await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["b"]));
}

/// A store with 2000 tags, whose list takes more than one chunk.
async fn with_many_tags() -> (Server, FailingDriver, Vec<String>) {
    let driver = FailingDriver::new();
    let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
    let manifest = server.push_image("a/b", "0000", "x").await;
    let path = format!("/v2/a/b/manifests/{}", Digest::sha256_of(&manifest));
    let tags: Vec<String> = (1..2001).map(|number| format!("{number:04}{}", "x".repeat(40))).collect();
    for some in tags.chunks(100) {
        let query: Vec<String> = some.iter().map(|tag| format!("tag={tag}")).collect();
        let put = server.call("PUT", format!("{path}?{}", query.join("&")));
        let put = put.header("content-type", OCI_MANIFEST).body(manifest.clone());
        put.send().await.expect(201);
    }
    let tags = std::iter::once("0000".to_owned()).chain(tags).collect();
    (server, driver, tags)
}

#[tokio::test]
async fn a_list_that_is_long_is_sent_while_it_is_read() {
    let (server, driver, tags) = with_many_tags().await;
    let answer = server.call("GET", "/v2/a/b/tags/list").send().await.expect(200);
    assert_eq!(answer.json(), json!({ "name": "a/b", "tags": tags }));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.has_header("content-length") && !answer.has_header("link"), "{answer:?}");
    let answer = server.call("GET", format!("/v2/a/b/tags/list?last={}", tags[4])).send().await.expect(200);
    assert_eq!(answer.json()["tags"], Value::from(tags[5..].to_vec()));
    assert!(server.call("HEAD", "/v2/a/b/tags/list").send().await.expect(200).body.is_empty());

    // A failure before the first byte is an error answer; later it breaks the connection.
    for entries in [0, 1, 10] {
        driver.be(Misbehaviour::ListsBreakAfter(entries));
        server.call("GET", "/v2/a/b/tags/list").send().await.expect_error(503, "UNAVAILABLE");
    }
    driver.be(Misbehaviour::ListsBreakAfter(1900));
    server.call("GET", "/v2/a/b/tags/list").try_send().await.unwrap_err();
}
