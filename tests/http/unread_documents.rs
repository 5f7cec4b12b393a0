//! Large manifests that their clients do not read.

use http::StatusCode;
use serde_json::json;

use super::upload_limits::from;
use crate::support::Server;

#[tokio::test(start_paused = true)]
async fn unread_manifests_take_a_bounded_part_of_the_memory() {
    let server = Server::new();
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&server.push_image("a", "small", "x").await).unwrap();
    manifest["annotations"] = json!({ "large": "x".repeat(4_000_000) });
    server.put_manifest("a", "large", &manifest).await.expect(201);
    let get = |address, tag: &str| from(address, server.call("GET", format!("/v2/a/manifests/{tag}")));
    let mut unread = Vec::new();
    for _ in 0..64 {
        let (status, body) = get("192.0.2.1:1", "large").begin().await;
        if status == StatusCode::OK {
            unread.push(body);
        }
    }
    assert!((4..=16).contains(&unread.len()), "{} manifests are on their way", unread.len());
    let refused = get("192.0.2.1:1", "large").send().await.expect_error(503, "UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "5");
    get("192.0.2.1:1", "small").send().await.expect(200);
    get("192.0.2.2:1", "large").send().await.expect(200);
    // The bytes are buffered, and the body has ended.
    let body = unread.pop().unwrap();
    let buffered = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    get("192.0.2.1:1", "large").send().await.expect_error(503, "UNAVAILABLE");
    drop(buffered);
    get("192.0.2.1:1", "large").send().await.expect(200);
}
