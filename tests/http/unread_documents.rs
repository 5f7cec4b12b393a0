//! Large manifests that their clients do not read.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::upload_limits::from;
use crate::support::failing_driver::{Held, Misbehaviour};
use crate::support::{FailingDriver, Server, Setup};

/// A registry with so many large manifests, `large-0` and so on, and a small one.
async fn with_large(count: usize, driver: FailingDriver) -> Server {
    let server = Server::with(Setup { driver: Arc::new(driver), ..Setup::default() });
    let mut manifest: Value = serde_json::from_slice(&server.push_image("a", "small", "x").await).unwrap();
    for number in 0..count {
        manifest["annotations"] = json!({ "large": format!("{number}{}", "x".repeat(4_000_000)) });
        server.put_manifest("a", &format!("large-{number}"), &manifest).await.expect(201);
    }
    server
}

#[tokio::test(start_paused = true)]
async fn unread_manifests_take_a_bounded_part_of_the_memory() {
    let server = with_large(20, FailingDriver::new()).await;
    let get = |address, tag: &str| from(address, server.call("GET", format!("/v2/a/manifests/{tag}")));
    let mut unread = Vec::new();
    for number in 0..18 {
        let (status, body) = get("192.0.2.1:1", &format!("large-{number}")).begin().await;
        if status == StatusCode::OK {
            unread.push(body);
        }
    }
    assert!((4..=16).contains(&unread.len()), "{} manifests are on their way", unread.len());
    let refused = get("192.0.2.1:1", "large-18").send().await.expect_error(503, "UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "5");
    get("192.0.2.1:1", "small").send().await.expect(200);
    get("192.0.2.2:1", "large-18").send().await.expect(200);
    // The bytes are buffered, and the body has ended.
    let body = unread.pop().unwrap();
    let buffered = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    get("192.0.2.1:1", "large-19").send().await.expect_error(503, "UNAVAILABLE");
    drop(buffered);
    get("192.0.2.1:1", "large-19").send().await.expect(200);
}

/// The machines behind one address, such as that of a proxy, pull the same image.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_many_clients_pull_at_a_time_takes_its_memory_once() {
    let server = with_large(1, FailingDriver::new()).await;
    let mut unread = Vec::new();
    for _ in 0..200 {
        let get = from("192.0.2.1:1", server.call("GET", "/v2/a/manifests/large-0"));
        let (status, body) = get.begin().await;
        assert_eq!(status, StatusCode::OK, "after {}", unread.len());
        unread.push(body);
    }
}

#[tokio::test]
async fn few_large_manifests_are_read_from_a_slow_store_at_a_time() {
    let (driver, held) = (FailingDriver::new(), Held::new());
    let server = Arc::new(with_large(30, driver.clone()).await);
    driver.be(Misbehaviour::HoldsData(held.clone()));
    let get = |number: usize| {
        let server = server.clone();
        let address = format!("192.0.2.{number}:1");
        tokio::spawn(async move {
            let get = server.call("GET", format!("/v2/a/manifests/large-{number}"));
            let (status, body) = from(&address, get).begin().await;
            drop(body);
            status
        })
    };
    let requests: Vec<_> = (0..30).map(get).collect();
    for _ in 0..10_000 {
        yield_now().await;
    }
    assert!((4..=16).contains(&held.begun()), "{} are being read", held.begun());
    held.permits.add_permits(100);
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
}
