//! The log lines of requests.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Once};

use http::Request;
use sampan::auth::Silly;
use sampan::http::{HttpOptions, TrustedProxies};
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_driver::{ErrorKind, PutMode, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::failing_driver::Misbehaviour;
use crate::support::{FailingDriver, Server, Setup};

thread_local! {
    /// The output of this thread. Each test has its own thread, and its runtime no other.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Collects the log, one JSON object per line.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines of this API during `work`.
    async fn of(work: impl Future<Output = ()>) -> Vec<Value> {
        let mut lines = Self::all(work).await;
        lines.retain(|line| line["target"].as_str().unwrap().starts_with("sampan::http"));
        lines
    }

    /// All lines during `work`.
    async fn all(work: impl Future<Output = ()>) -> Vec<Value> {
        // One subscriber for all threads: scoped ones would race for `tracing`'s cache of each call site.
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| tracing_subscriber::fmt().json().with_writer(|| Log).init());
        LOGGED.take();
        work.await;
        let text = String::from_utf8(LOGGED.take()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_request_has_one_line_without_its_secrets() {
    let access = Arc::new(Silly::new("realm", "service").unwrap());
    let server = Server::with(Setup { access, ..Setup::default() });
    let address = PeerAddress::Tcp("192.0.2.7:4000".parse().unwrap());
    let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
    let lines = Log::of(async {
        let call = server.call("GET", "/v2/?token=hidden1").header("authorization", "Bearer hidden2");
        let call =
            call.header("cookie", "hidden3").header("x-request-id", "id-1").header("user-agent", "docker/28");
        let call = call.header("referer", "https://u:hidden4@page.example/a?code=hidden5");
        call.header("host", "reg.example").extension(peer).send().await.expect(200);
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let fields = &lines[0]["fields"];
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(fields["message"], "response completed");
    assert_eq!(fields["http.request.id"], "id-1");
    assert_eq!(fields["http.request.method"], "GET");
    assert_eq!(fields["http.request.uri"], "/v2/");
    assert_eq!(fields["http.request.host"], "reg.example");
    assert_eq!(fields["http.request.remoteaddr"], "192.0.2.7:4000");
    assert_eq!(fields["http.request.useragent"], "docker/28");
    assert_eq!(fields["http.request.referer"], "https://page.example/a");
    assert_eq!(fields["http.response.status"], 200);
    assert_eq!(fields["http.response.written"], 2);
    assert_eq!(fields["auth.user.name"], "silly");
    assert!(fields["http.response.duration_ms"].as_f64().unwrap() >= 0.0);
    assert!(!lines[0].to_string().contains("hidden"), "{lines:?}");
}

/// The line of a push names the content; the path of a pull does.
#[tokio::test]
async fn the_line_of_a_push_has_the_digest() {
    let server = Server::new();
    let digest = sampan_engine::oci::Digest::sha256_of(b"x");
    let lines = Log::of(async {
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        server.call("POST", path).body("x").send().await.expect(201);
        server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
    })
    .await;
    assert_eq!(lines[0]["fields"]["vars.digest"], digest.to_string(), "{lines:?}");
    assert!(lines[1]["fields"].get("vars.digest").is_none(), "{lines:?}");
}

#[tokio::test]
async fn only_trusted_proxies_say_where_a_request_comes_from() {
    let trusted_proxies = TrustedProxies { networks: vec!["192.0.2.0/24".parse().unwrap()], unix: false };
    let server = Server::with_options(HttpOptions { trusted_proxies, ..HttpOptions::default() });
    for (peer, expected) in [("192.0.2.7:4000", "203.0.113.5"), ("198.51.100.1:4000", "198.51.100.1:4000")] {
        let address = PeerAddress::Tcp(peer.parse().unwrap());
        let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
        let lines = Log::of(async {
            let call = server.call("GET", "/v2/").header("x-forwarded-for", "203.0.113.5");
            call.extension(peer.clone()).send().await.expect(200);
        })
        .await;
        assert_eq!(lines[0]["fields"]["http.request.remoteaddr"], expected);
        let call = server.call("POST", "/v2/a/blobs/uploads/").header("host", "inner").extension(peer);
        let begun = call.header("x-forwarded-host", "outer").send().await.expect(202);
        let host = if expected == "203.0.113.5" { "http://outer/" } else { "http://inner/" };
        assert!(begun.header("location").starts_with(host), "{begun:?}");
    }
}

#[tokio::test]
async fn an_error_is_named_in_its_line() {
    let server = Server::new();
    let lines = Log::of(async {
        server.call("GET", "/v2/a/tags/list").send().await.expect(404);
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["fields"]["message"], "response completed with error");
    assert_eq!(lines[0]["fields"]["err.code"], "NAME_UNKNOWN");
    assert_eq!(lines[0]["fields"]["http.request.uri"], "/v2/a/tags/list");
}

#[tokio::test]
async fn the_cause_of_a_5xx_is_logged_once_with_the_requests_id() {
    let driver = FailingDriver::new();
    let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
    driver.be(Misbehaviour::Fails(ErrorKind::Other));
    let lines = Log::of(async {
        server.call("GET", "/v2/a/manifests/latest").header("x-request-id", "id-2").send().await.expect(500);
    })
    .await;
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!((lines.len(), errors.len()), (2, 1), "{lines:?}");
    assert_eq!(errors[0]["fields"]["http.request.id"], "id-2");
    assert!(
        errors[0]["fields"]["error"].as_str().unwrap().ends_with("unexpected error: the secret cause"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn a_client_that_disconnects_is_no_error() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    let lines = Log::of(async {
        server.call("PATCH", &path).vanishing_after(b"x").send().await.expect(400);
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["level"], &lines[0]["fields"]["http.response.status"]),
        (&"INFO".into(), &499.into())
    );
}

#[tokio::test]
async fn an_answer_to_a_disconnected_client_is_logged_as_such() {
    let server = Server::new();
    let digest = server.push_blob("a", crate::support::image::noise(1000)).await;
    let lines = Log::of(async {
        let request = Request::get(format!("/v2/a/blobs/{digest}")).body(axum::body::Body::empty()).unwrap();
        let response = server.api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["fields"]["http.response.status"], 499);
    assert_eq!(lines[0]["fields"]["http.response.written"], 0);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_logged_with_its_cause() {
    let driver = FailingDriver::new();
    let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
    let digest = server.push_blob("a", vec![b'x'; 100_000]).await;
    driver.be(Misbehaviour::EndsAfter(4));
    let lines = Log::of(async {
        assert!(server.call("GET", format!("/v2/a/blobs/{digest}")).try_send().await.is_err());
    })
    .await;
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert!(
        errors[0]["fields"]["error"].as_str().unwrap().contains("announced with 100000 bytes, but has 4"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn a_damaged_small_blob_is_logged_with_its_place() {
    let driver = Arc::new(InMemoryDriver::new());
    let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
    let digest = server.push_blob("a", "content").await;
    let data = Entry::Blob(digest.clone()).path();
    driver.put_content(&data, "damaged".into(), PutMode::Overwrite).await.unwrap();
    let lines = Log::all(async {
        for _ in 0..2 {
            server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
        }
    })
    .await;
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert_eq!(errors[0]["fields"]["path"], data.to_string());
    let message = errors[0]["fields"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("the data of blob {digest} are damaged")), "{message}");
}

#[tokio::test]
async fn the_log_of_requests_can_be_off() {
    let server = Server::with_options(HttpOptions { access_log: false, ..HttpOptions::default() });
    let lines = Log::of(async {
        server.call("GET", "/v2/").send().await.expect(200);
    })
    .await;
    assert_eq!(lines, [Value::Null; 0]);
}
