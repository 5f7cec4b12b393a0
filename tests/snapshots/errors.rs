//! The answer to every kind of bad request, with the headers that clients act on.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sampan::auth::{Access, AccessController, ChallengeReason, Credentials, Denied, Grant};
use sampan_driver::ErrorKind;
use sampan_engine::Limits;
use sampan_engine::oci::media_type::{DOCKER_MANIFEST, DOCKER_SCHEMA1, OCI_INDEX, OCI_MANIFEST};

use crate::support::failing_driver::Misbehaviour;
use crate::support::{Answer, FailingDriver, Server, Setup};

/// A digest of content that is nowhere.
const ABSENT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Denies everything for the same reason.
#[derive(Debug)]
struct Denies(Denied);

#[async_trait]
impl AccessController for Denies {
    async fn authorize(&self, _: &Credentials<'_>, _: &[Access]) -> Result<Grant, Denied> {
        Err(self.0.clone())
    }
}

/// The answers so far, and their codes.
#[derive(Default)]
struct Record {
    text: String,
    codes: BTreeSet<String>,
}

impl Record {
    fn add(&mut self, request: &str, answer: &Answer) {
        self.text.push_str(&format!("{request}\n  {}\n", answer.status));
        for name in ["allow", "content-range", "range", "retry-after", "www-authenticate"] {
            if let Some(value) = answer.headers.get(name) {
                self.text.push_str(&format!("  {name}: {}\n", value.to_str().unwrap()));
            }
        }
        let body = answer.json();
        self.text.push_str(&format!("  {body}\n\n"));
        for error in body["errors"].as_array().unwrap() {
            self.codes.insert(error["code"].as_str().unwrap().to_owned());
        }
    }

    async fn call(&mut self, server: &Server, method: &str, path: &str) {
        let answer = server.call(method, path).send().await;
        self.add(&format!("{method} {path}"), &answer);
    }

    async fn push(&mut self, server: &Server, reference: &str, kind: &str, body: &str) {
        let path = format!("/v2/app/manifests/{reference}");
        let answer =
            server.call("PUT", &path).header("content-type", kind).body(body.to_owned()).send().await;
        self.add(&format!("PUT {path}\n{kind}\n{body}"), &answer);
    }
}

#[tokio::test]
async fn the_answer_to_every_bad_request_is_as_recorded() {
    let mut record = Record::default();
    let server = Server::new();
    server.push_image("app", "v1", "one").await;
    content(&mut record, &server).await;
    manifests(&mut record, &server).await;
    uploads(&mut record, &server).await;
    refusals(&mut record).await;
    super::check("errors.txt", &record.text);

    let page = fs::read_to_string("docs/api.md").unwrap();
    let (_, table) = page.split_once("## Errors").expect("the section of the errors");
    let documented: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('|'))
        .flat_map(|(codes, _)| codes.split(['`', ',', ' ']))
        .filter(|code| !code.is_empty())
        .map(str::to_owned)
        .collect();
    assert_eq!(record.codes, documented);
}

async fn content(record: &mut Record, server: &Server) {
    for path in [
        "/v2/app/blobs/ABSENT",
        "/v2/app/blobs/sha256:short",
        "/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
        "/v2/app/manifests/missing",
        "/v2/app/manifests/ABSENT",
        "/v2/app/manifests/sha256:short",
        "/v2/app/manifests/-tag",
        "/v2/app/referrers/sha256:short",
        "/v2/app/tags/list?n=-1",
        "/v2/app/blobs/uploads/",
        "/v2/nowhere/tags/list",
        "/v2/UPPER/tags/list",
        "/v2/_catalog?n=many",
        "/v2/_catalog?n=1000000",
    ] {
        record.call(server, "GET", &path.replace("ABSENT", ABSENT)).await;
    }
    record.call(server, "DELETE", "/v2/app/tags/list").await;
    record.call(server, "DELETE", &format!("/v2/app/manifests/{ABSENT}")).await;
    record.call(server, "DELETE", &format!("/v2/app/blobs/{ABSENT}")).await;
    let blob = server.push_blob("app", "ten bytes.").await;
    let path = format!("/v2/app/blobs/{blob}");
    let answer = server.call("GET", &path).header("range", "bytes=10-").send().await;
    record.add(&format!("GET {path}\nrange: bytes=10-"), &answer);
}

async fn manifests(record: &mut Record, server: &Server) {
    let missing = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{ABSENT}","size":2}},"layers":[]}}"#
    );
    record.push(server, "v2", OCI_MANIFEST, &missing).await;
    record.push(server, "v2", OCI_MANIFEST, "{").await;
    record.push(server, "v2", OCI_MANIFEST, r#"{"schemaVersion":2}"#).await;
    record.push(server, "v2", OCI_MANIFEST, r#"{"schemaVersion":2,"Layers":[]}"#).await;
    record.push(server, "v2", OCI_INDEX, r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#).await;
    record.push(server, "v2", DOCKER_MANIFEST, &missing).await;
    record.push(server, "v2", DOCKER_SCHEMA1, r#"{"schemaVersion":1,"fsLayers":[]}"#).await;
    record.push(server, "v2", "text/plain", "{}").await;
    record.push(server, ABSENT, OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#).await;
    record.push(server, "-tag", OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#).await;
}

async fn uploads(record: &mut Record, server: &Server) {
    let unknown = "/v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000";
    record.call(server, "PATCH", unknown).await;
    record.call(server, "GET", "/v2/app/blobs/uploads/no-upload").await;
    record.call(server, "POST", "/v2/app/blobs/uploads/?digest=sha256:short").await;
    for (method, query, headers) in [
        ("PUT", "", &[][..]),
        ("PUT", &*format!("?digest={ABSENT}"), &[]),
        ("PATCH", "", &[("content-range", "first to last")]),
        ("PATCH", "", &[("content-range", "5-9")]),
        ("PATCH", "", &[("content-range", "0-9")]),
    ] {
        let begun = server.call("POST", "/v2/app/blobs/uploads/").send().await.expect(202);
        let place = begun.header("location").to_owned();
        let mut call = server.call(method, format!("{place}{query}"));
        for (name, value) in headers {
            call = call.header(name, value);
        }
        let answer = call.body("four").send().await;
        record.add(&format!("{method} <upload>{query}\n{headers:?}\nfour"), &answer);
    }
}

async fn refusals(record: &mut Record) {
    let after = Duration::from_secs(30);
    let challenges = vec!["Basic realm=\"Registry\"".parse().unwrap()];
    for denied in [
        Denied::Challenge { challenges: challenges.clone(), reason: ChallengeReason::Missing },
        Denied::Challenge { challenges: challenges.clone(), reason: ChallengeReason::Wrong },
        Denied::Challenge { challenges, reason: ChallengeReason::Insufficient },
        Denied::Forbidden { user: "alice".to_owned() },
        Denied::TooManyAttempts { retry_after: after },
        Denied::TooManyAtOnce { retry_after: after },
        Denied::Unavailable,
    ] {
        let request = format!("GET /v2/app/tags/list, denied because {denied}");
        let server = Server::with(Setup { access: Arc::new(Denies(denied)), ..Setup::default() });
        record.add(&request, &server.call("GET", "/v2/app/tags/list").send().await);
    }
    for kind in [ErrorKind::Other, ErrorKind::Unavailable, ErrorKind::StorageFull] {
        let driver = FailingDriver::new();
        let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
        driver.be(Misbehaviour::Fails(kind));
        let answer = server.call("GET", "/v2/app/tags/list").send().await;
        record.add(&format!("GET /v2/app/tags/list, while the store fails with {kind:?}"), &answer);
    }
    let limits = Limits { delete: false, ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    server.push_image("app", "v1", "one").await;
    record.call(&server, "DELETE", "/v2/app/manifests/v1").await;
    let limits = Limits { read_only: true, ..Limits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    record.call(&server, "POST", "/v2/app/blobs/uploads/").await;
}
