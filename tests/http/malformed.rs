//! Digests and tags outside the grammar: most clients print only an error's `message`, so the message names the fault.

use crate::support::Server;

#[tokio::test]
async fn a_malformed_digest_or_tag_is_not_called_a_mismatch() {
    let server = Server::new();
    let upload = server.call("POST", "/v2/a/blobs/uploads/").send().await.expect(202).location_path();
    let put = |query: &str| ("PUT", format!("{upload}{query}"));
    let get = |path: &str| ("GET", format!("/v2/a/{path}"));
    let post = |query: &str| ("POST", format!("/v2/a/blobs/uploads/?{query}"));
    let malformed =
        "provided digest is malformed: invalid digest \"sha256:zz\": a sha256 hash has 64 hexadecimal digits";
    let subject = format!("sha256:{}", "0".repeat(64));
    for ((method, path), code, message) in [
        (put("?digest=sha256:zz"), "DIGEST_INVALID", malformed),
        (
            put(""),
            "DIGEST_INVALID",
            "provided digest is missing: the `digest` parameter says what the upload must hash to",
        ),
        (post("digest=sha256:zz"), "DIGEST_INVALID", malformed),
        (post("digest-algorithm=md5"), "DIGEST_INVALID", "digest algorithm is not supported: "),
        (get("blobs/sha256:zz"), "DIGEST_INVALID", malformed),
        (get("manifests/sha256:zz"), "DIGEST_INVALID", malformed),
        (get("referrers/sha256:zz"), "DIGEST_INVALID", malformed),
        (get(&format!("referrers/{subject}?last=x")), "DIGEST_INVALID", "`last` is malformed: "),
        (("PUT", "/v2/a/manifests/sha256:zz".to_owned()), "DIGEST_INVALID", malformed),
        (("PUT", "/v2/a/manifests/.x".to_owned()), "TAG_INVALID", "manifest tag is malformed: "),
        (("PUT", format!("/v2/a/manifests/{subject}?tag=.x")), "TAG_INVALID", "manifest tag is malformed: "),
    ] {
        let answer = server.call(method, &path).body("{}").send().await;
        let answer = answer.expect_error(400, code);
        let told = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(told.starts_with(message), "{method} {path}: {told}");
    }
}

#[tokio::test]
async fn a_message_says_once_that_a_name_is_invalid() {
    let server = Server::new();
    for (name, message) in [
        ("UPPER", r#"invalid repository name "UPPER": it must be in lower case"#),
        ("a%2Fb", r#"invalid repository name "a%2Fb": a name is never percent-encoded"#),
    ] {
        let answer = server.call("GET", format!("/v2/{name}/tags/list")).send().await;
        assert_eq!(answer.expect_error(400, "NAME_INVALID").json()["errors"][0]["message"], message);
    }
}
