//! Names and paths: every path gets a correct answer or a clean 4xx.

use proptest::prelude::*;
use proptest::string::string_regex;
use sampan_engine::oci::RepositoryName;
use serde_json::json;

use crate::support::{Answer, Server};

fn ask(method: &str, path: &str) -> Option<Answer> {
    let uri: http::Uri = path.parse().ok()?; // The HTTP parser refuses everything else.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Some(runtime.block_on(Server::new().call(method, uri.to_string()).send()))
}

#[tokio::test]
async fn names_that_look_like_endpoints_are_names() {
    let server = Server::new();
    let longest = format!("{}/{}", "a".repeat(127), "b".repeat(127));
    for name in [
        "blobs",
        "manifests",
        "tags/list",
        "blobs/uploads",
        "a/blobs/uploads",
        "manifests/latest",
        "referrers/x",
        "uploads",
        "v2",
        "list",
        "a/b/c/d/e/f/g/h",
        "a.b_c__d-e---f/0",
        &longest,
    ] {
        let bytes = server.push_image(name, "latest", name).await;
        let answer = server.call("GET", format!("/v2/{name}/manifests/latest")).send().await.expect(200);
        assert_eq!(answer.body, bytes, "{name}");
        let answer = server.call("GET", format!("/v2/{name}/tags/list")).send().await.expect(200);
        assert_eq!(answer.json(), json!({ "name": name, "tags": ["latest"] }));
        let session = server.start_upload(name).await;
        server.call("GET", &session).send().await.expect(204);
    }
}

#[tokio::test]
async fn names_outside_the_grammar_are_refused_at_every_endpoint() {
    let server = Server::new();
    let too_long = "a".repeat(256);
    for name in [
        "A", "a/B", "a//b", "a..b", "..", "a/../b", ".", "-a", "a-", "a___b", "a%2Fb", "%2e%2e", "a%00",
        "a:5000", "a@b", "_catalog", "~root", &too_long,
    ] {
        for (method, ending) in [
            ("GET", "manifests/latest"),
            ("PUT", "manifests/latest"),
            ("GET", "tags/list"),
            ("POST", "blobs/uploads/"),
            ("GET", "blobs/uploads/x"),
            ("GET", "blobs/sha256:x"),
            ("GET", "referrers/sha256:x"),
        ] {
            let answer = server.call(method, format!("/v2/{name}/{ending}")).send().await;
            answer.expect_error(400, "NAME_INVALID");
        }
    }
    assert_eq!(server.files().await, []);
}

const WORD: &str = "(blobs|manifests|tags|list|uploads|referrers|_catalog|v2|latest|sha256:[0-9a-f]{64}|\\.\\.|\\.|%2[fFeE]|%|%ff|%00|[a-z0-9._-]{1,5}|[A-Z]|)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_path_gets_a_clean_answer(
        method in "GET|HEAD|PUT|POST|PATCH|DELETE|OPTIONS|X",
        path in string_regex(&format!("/(v2/)?{WORD}(/{WORD}){{0,6}}(\\?[a-z]{{1,6}}=[a-z0-9:%&=]{{0,9}})?")).unwrap(),
    ) {
        let Some(answer) = ask(&method, &path) else { return Ok(()) };
        prop_assert!(!answer.status.is_server_error(), "{method} {path}: {answer:?}");
        if answer.status.is_client_error() && method != "HEAD" && answer.header("content-type") == "application/json" {
            prop_assert!(answer.json()["errors"][0]["code"].is_string());
        }
    }

    #[test]
    fn the_api_and_the_engine_accept_the_same_names(name in "[a-zA-Z0-9._-]{1,6}(/[a-z0-9._-]{0,6}){0,3}") {
        let Some(answer) = ask("GET", &format!("/v2/{name}/tags/list")) else { return Ok(()) };
        let expected = if name.parse::<RepositoryName>().is_ok() { (404, "NAME_UNKNOWN") } else { (400, "NAME_INVALID") };
        let body = answer.json();
        prop_assert_eq!((answer.status.as_u16(), body["errors"][0]["code"].as_str().unwrap()), expected);
    }

    #[test]
    fn any_query_gets_a_clean_answer(
        (method, path) in prop_oneof![
            Just(("POST", "/v2/a/blobs/uploads/")), Just(("GET", "/v2/_catalog")), Just(("GET", "/v2/a/tags/list")),
            Just(("PUT", "/v2/a/blobs/uploads/x")), Just(("PUT", "/v2/a/manifests/latest")),
            Just(("GET", "/v2/a/referrers/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ],
        query in "((n|last|mount|from|digest|digest-algorithm|tag|artifactType|_state)=(-?[0-9]{1,25}|sha(256|512):[0-9a-f]{1,3}|[a-z/.%+]{0,6}|)&?){0,3}",
    ) {
        let Some(answer) = ask(method, &format!("{path}?{query}")) else { return Ok(()) };
        prop_assert!(!answer.status.is_server_error(), "{method} {path}?{query}: {answer:?}");
    }
}
