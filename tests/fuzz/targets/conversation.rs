//! Requests one after the other to an empty registry: no answer is a failure, and nothing comes under a digest that it has not.
//!
//! The bytes are requests as on the wire, separated by lines of `---`. `$LOCATION` is the last `Location`, and `$DIGEST` the
//! digest of the body of the request before.

use axum::body::Body;
use http::Request;
use sampan_engine::oci::Digest;

use super::service::{Answer, Service};

/// More requests make runs slow, and say nothing new.
const MAX_REQUESTS: usize = 12;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let service = Service::new();
    let (mut location, mut digest) = (String::new(), String::new());
    for text in text.split("\n---\n").take(MAX_REQUESTS) {
        let text = text.replace("$LOCATION", &location).replace("$DIGEST", &digest);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let Some(request) = request(head, body) else { continue };
        let (path, is_head) = (request.uri().path().to_owned(), request.method() == http::Method::HEAD);
        let answer = service.send(request);
        if !is_head {
            check(&path, &answer);
        }
        if let Some(next) = answer.header("location") {
            location = next.to_owned();
        }
        digest = Digest::sha256_of(body.as_bytes()).to_string();
    }
}

fn request(head: &str, body: &str) -> Option<Request<Body>> {
    let mut lines = head.split('\n');
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(Body::from(body.to_owned())).ok()
}

/// A whole answer has the digest that it names, and the one that the path names.
fn check(path: &str, answer: &Answer) {
    if answer.status != 200 || answer.body.is_empty() {
        return;
    }
    if let Some(named) = answer.header("docker-content-digest") {
        let named: Digest = named.parse().expect("a digest");
        assert_eq!(Digest::of(named.algorithm(), &answer.body), named, "{path}: {answer:?}");
    }
    let (before, last) = path.rsplit_once('/').unwrap_or_default();
    if (before.ends_with("/blobs") || before.ends_with("/manifests"))
        && let Ok(asked) = last.parse::<Digest>()
    {
        assert_eq!(Digest::of(asked.algorithm(), &answer.body), asked, "{path}: {answer:?}");
    }
}
