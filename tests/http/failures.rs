//! Answers while the store fails: the right status, no internals, never a short success.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::ErrorKind;

use crate::support::failing_driver::Misbehaviour;
use crate::support::{FailingDriver, Server, Setup};

async fn with_blob() -> (FailingDriver, Server, String) {
    with_blob_of("0123456789").await
}

async fn with_blob_of(content: impl Into<Bytes>) -> (FailingDriver, Server, String) {
    let driver = FailingDriver::new();
    let server = Server::with(Setup { driver: Arc::new(driver.clone()), ..Setup::default() });
    let digest = server.push_blob("a", content).await;
    (driver, server, format!("/v2/a/blobs/{digest}"))
}

#[tokio::test]
async fn a_failing_store_is_a_5xx_without_its_cause() {
    for (kind, status, code) in [
        (ErrorKind::Other, 500, "UNKNOWN"),
        (ErrorKind::PermissionDenied, 500, "UNKNOWN"),
        (ErrorKind::Unavailable, 503, "UNAVAILABLE"),
        (ErrorKind::StorageFull, 503, "UNAVAILABLE"),
    ] {
        let (driver, server, blob) = with_blob().await;
        driver.be(Misbehaviour::Fails(kind));
        for (method, path) in [
            ("GET", blob.as_str()),
            ("GET", "/v2/a/manifests/latest"),
            ("GET", "/v2/a/tags/list"),
            ("GET", "/v2/_catalog"),
            ("POST", "/v2/a/blobs/uploads/"),
        ] {
            let answer = server.call(method, path).send().await.expect_error(status, code);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("secret") && !text.contains("odd"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_blob_whose_reading_ends_early_breaks_the_answer() {
    for misbehaviour in [Misbehaviour::EndsAfter(4), Misbehaviour::BreaksAfter(4)] {
        // Too large to be read before the answer begins.
        let (driver, server, blob) = with_blob_of(vec![b'x'; 100_000]).await;
        driver.be(misbehaviour.clone());
        for range in ["bytes=0-9", "bytes=0-1,3-4", "none"] {
            let result = server.call("GET", &blob).header("range", range).try_send().await;
            assert!(result.is_err(), "{misbehaviour:?} {range}: {result:?}");
        }
    }
}

#[tokio::test]
async fn a_small_blob_whose_reading_ends_early_is_a_500() {
    for misbehaviour in [Misbehaviour::EndsAfter(4), Misbehaviour::BreaksAfter(4)] {
        let (driver, server, blob) = with_blob().await;
        driver.be(misbehaviour);
        server.call("GET", &blob).send().await.expect_error(500, "UNKNOWN");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    let (driver, server, blob) = with_blob().await;
    driver.be(Misbehaviour::Panics);
    let answer = server.call("GET", &blob).send().await.expect_error(500, "UNKNOWN");
    assert!(answer.has_header("docker-distribution-api-version") && answer.has_header("x-request-id"));
    server.call("GET", "/v2/").send().await.expect(200);
}
