//! The permissions that a request needs, and the answer without them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use sampan::auth::{Access, AccessController, ChallengeReason, Credentials, Denied, Grant};
use sampan::http::{HttpOptions, TrustedProxies};
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_engine::oci::Digest;
use serde_json::json;

use crate::support::{Server, Setup};

/// Grants the scopes in the `Authorization` header, separated by spaces, and records the requested ones.
#[derive(Clone, Debug, Default)]
struct ByHeader {
    wanted: Arc<Mutex<Vec<String>>>,
    /// The client address of the last request, if known.
    client: Arc<Mutex<Option<IpAddr>>>,
    /// The answer to a header that does not suffice.
    otherwise: Option<Denied>,
}

#[async_trait]
impl AccessController for ByHeader {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        *self.wanted.lock().unwrap() = wanted.clone();
        *self.client.lock().unwrap() = credentials.client;
        let challenge = Denied::Challenge {
            challenges: vec![
                HeaderValue::from_static("Bearer realm=\"r\""),
                HeaderValue::from_static("Basic realm=\"r\""),
            ],
            reason: ChallengeReason::Missing,
        };
        let Some(header) = credentials.authorization else { return Err(challenge) };
        let granted: Vec<&str> = header.to_str().unwrap().split(' ').collect();
        if wanted.iter().all(|scope| granted.contains(&scope.as_str())) {
            return Ok(Grant::to("anne"));
        }
        Err(self.otherwise.clone().unwrap_or(challenge))
    }
}

impl ByHeader {
    fn server(&self) -> Server {
        Server::with(Setup { access: Arc::new(self.clone()), ..Setup::default() })
    }
}

#[tokio::test]
async fn failed_logins_are_counted_for_the_address_from_trusted_proxies() {
    let trusted_proxies = TrustedProxies { networks: vec!["192.0.2.0/24".parse().unwrap()], unix: false };
    let access = ByHeader::default();
    let options = HttpOptions { trusted_proxies, ..HttpOptions::default() };
    let server = Server::with(Setup { access: Arc::new(access.clone()), options, ..Setup::default() });
    for (peer, expected) in [("192.0.2.7:4000", "203.0.113.5"), ("198.51.100.1:4000", "198.51.100.1")] {
        let address = PeerAddress::Tcp(peer.parse().unwrap());
        let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
        let call = server.call("GET", "/v2/").header("x-forwarded-for", "203.0.113.5");
        call.extension(peer).send().await.expect(401);
        assert_eq!(*access.client.lock().unwrap(), Some(expected.parse().unwrap()));
    }
}

#[tokio::test]
async fn every_endpoint_requires_the_scope_of_its_action() {
    let (access, digest) = (ByHeader::default(), Digest::sha256_of(b""));
    let server = access.server();
    let (pull, both, delete) = (
        vec!["repository:a/b:pull"],
        vec!["repository:a/b:pull", "repository:a/b:push"],
        vec!["repository:a/b:delete"],
    );
    for (method, path, wanted) in [
        ("GET", "/v2/".to_owned(), vec![]),
        ("GET", "/v2/_catalog".to_owned(), vec!["registry:catalog:*"]),
        ("GET", "/v2/a/b/tags/list".to_owned(), pull.clone()),
        ("GET", format!("/v2/a/b/referrers/{digest}"), pull.clone()),
        ("GET", format!("/v2/a/b/blobs/{digest}"), pull.clone()),
        ("HEAD", format!("/v2/a/b/blobs/{digest}"), pull.clone()),
        ("DELETE", format!("/v2/a/b/blobs/{digest}"), delete.clone()),
        ("GET", "/v2/a/b/manifests/x".to_owned(), pull.clone()),
        ("HEAD", "/v2/a/b/manifests/x".to_owned(), pull.clone()),
        ("PUT", "/v2/a/b/manifests/x".to_owned(), both.clone()),
        ("DELETE", "/v2/a/b/manifests/x".to_owned(), delete),
        ("POST", "/v2/a/b/blobs/uploads/".to_owned(), both.clone()),
        ("GET", "/v2/a/b/blobs/uploads/x".to_owned(), both.clone()),
        ("PATCH", "/v2/a/b/blobs/uploads/x".to_owned(), both.clone()),
        ("PUT", "/v2/a/b/blobs/uploads/x".to_owned(), both.clone()),
        ("DELETE", "/v2/a/b/blobs/uploads/x".to_owned(), both.clone()),
        (
            "POST",
            format!("/v2/a/b/blobs/uploads/?mount={digest}&from=c"),
            [both, vec!["repository:c:pull"]].concat(),
        ),
    ] {
        let answer = server.call(method, &path).send().await.expect(401);
        assert_eq!(*access.wanted.lock().unwrap(), wanted, "{method} {path}");
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["Bearer realm=\"r\"", "Basic realm=\"r\""]);
    }
    assert_eq!(server.files().await, []);
}

#[tokio::test]
async fn a_challenge_names_the_required_scope() {
    let answer = ByHeader::default().server().call("GET", "/v2/a/b/tags/list").send().await;
    let answer = answer.expect_error(401, "UNAUTHORIZED");
    let scope = json!({ "Type": "repository", "Class": "", "Name": "a/b", "Action": "pull" });
    assert_eq!(answer.details(), [json!([scope])]);
}

#[tokio::test]
async fn every_refusal_has_its_status() {
    let attempts = Denied::TooManyAttempts { retry_after: Duration::from_secs(7) };
    for (denied, status, code, retry_after) in [
        (Denied::Forbidden { user: "anne".to_owned() }, 403, "DENIED", None),
        (attempts, 429, "TOOMANYREQUESTS", Some("7")),
        (Denied::Unavailable, 503, "UNAVAILABLE", Some("5")),
    ] {
        let server = ByHeader { otherwise: Some(denied), ..ByHeader::default() }.server();
        let answer = server.call("GET", "/v2/a/tags/list").header("authorization", "nothing").send().await;
        let answer = answer.expect_error(status, code);
        assert_eq!(answer.headers.get("retry-after").map(|value| value.to_str().unwrap()), retry_after);
        assert!(!answer.has_header("www-authenticate"));
    }
}

#[tokio::test]
async fn authorization_precedes_every_answer_about_the_store() {
    let server = ByHeader::default().server();
    for (method, path) in [
        ("GET", "/v2/a/blobs/nonsense"),
        ("GET", "/v2/a/manifests/.x"),
        ("PUT", "/v2/a/manifests/.x"),
        ("GET", "/v2/a/tags/list?n=x"),
        ("PATCH", "/v2/a/blobs/uploads/%ff"),
    ] {
        server.call(method, path).send().await.expect_error(401, "UNAUTHORIZED");
    }
}

const BOTH: &str = "repository:to:pull repository:to:push";

/// Creates a server with a blob in `from`, and requests a mount into `to`; returns the status.
async fn mount(otherwise: Option<Denied>, from: &str, granted: &str) -> u16 {
    let server = ByHeader { otherwise, ..ByHeader::default() }.server();
    let digest = Digest::sha256_of(b"x");
    let path = format!("/v2/from/blobs/uploads/?digest={digest}");
    let push = server.call("POST", path).header("authorization", "repository:from:pull repository:from:push");
    push.body("x").send().await.expect(201);
    let call = server.call("POST", format!("/v2/to/blobs/uploads/?mount={digest}{from}"));
    call.header("authorization", granted).send().await.status.as_u16()
}

#[tokio::test]
async fn a_mount_requires_pull_access_to_the_source() {
    let source = format!("{BOTH} repository:from:pull");
    assert_eq!(mount(None, "&from=from", &source).await, 201);
    // The challenge leads to a token that includes the source.
    assert_eq!(mount(None, "&from=from", BOTH).await, 401);
    // A known user without read access there uploads instead.
    let forbidden = Some(Denied::Forbidden { user: "anne".to_owned() });
    assert_eq!(mount(forbidden.clone(), "&from=from", BOTH).await, 202);
    assert_eq!(mount(forbidden, "&from=from", "repository:to:pull").await, 403);
}

#[tokio::test]
async fn a_mount_from_anywhere_requires_access_to_everything() {
    assert_eq!(mount(None, "", BOTH).await, 202);
    assert_eq!(mount(None, "", &format!("{BOTH} registry:catalog:*")).await, 201);
}
