//! Answers to clients while the registry is unhealthy.

use sampan::health::HealthStatus;
use sampan::http::HttpServices;

use crate::support::Server;

fn server(board: &HealthStatus) -> Server {
    Server::with_services(HttpServices { health: board.clone(), ..HttpServices::default() })
}

#[tokio::test]
async fn a_failing_check_takes_the_api_out_of_service_and_leaves_the_process_alive() {
    let board = HealthStatus::default();
    let server = server(&board);
    server.call("GET", "/readyz").send().await.expect(200);
    board.fail("storagedriver_filesystem", "gone");
    for path in ["/v2/", "/v2/a/manifests/latest", "/v2/_catalog"] {
        let answer = server.call("GET", path).send().await.expect(503);
        assert_eq!(
            String::from_utf8_lossy(&answer.body).trim_end(),
            "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"service unavailable\",\
             \"detail\":\"health check failed: please see /debug/health\"}]}"
        );
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    server.call("GET", "/").send().await.expect(200);
    server.call("GET", "/livez").send().await.expect(200);
    let unready = server.call("GET", "/readyz").send().await.expect(503);
    assert_eq!(&unready.body[..], b"a health check fails\n", "strangers ask here");
    board.pass("storagedriver_filesystem");
    server.call("GET", "/v2/").send().await.expect(200);
}

#[tokio::test]
async fn without_room_only_started_uploads_can_finish() {
    let board = HealthStatus::default();
    let server = server(&board);
    let digest = server.push_blob("a", "0123456789").await;
    let begun = server.call("POST", "/v2/a/blobs/uploads/").send().await.expect(202);
    let location = begun.header("location").to_owned();
    board.refuse_writes("diskspace", "5 bytes are free");

    let refused = server.call("POST", "/v2/a/blobs/uploads/").send().await.expect_error(503, "UNAVAILABLE");
    assert!(String::from_utf8_lossy(&refused.body).contains("5 bytes are free"), "{refused:?}");
    let whole = format!("/v2/a/blobs/uploads/?digest={digest}");
    server.call("POST", &whole).body("0123456789").send().await.expect_error(503, "UNAVAILABLE");

    server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
    let mount = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    server.call("POST", mount).send().await.expect(201);
    server.call("PATCH", location).body("abc").send().await.expect(202);
    server.call("GET", "/readyz").send().await.expect(200);
}
