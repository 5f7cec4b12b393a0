//! end-5, end-6, end-13, end-14: continuing, finishing, inspecting and cancelling uploads.

use sampan_engine::oci::{Algorithm, Digest};

use crate::support::Server;

#[tokio::test]
async fn an_upload_is_streamed_and_finished() {
    let server = Server::new();
    let path = server.start_upload("a/b").await;
    let answer =
        server.call("PATCH", &path).header("host", "h").chunks(["hello ", "world"]).send().await.expect(202);
    let id = answer.header("docker-upload-uuid");
    assert_eq!(answer.header("range"), "0-10");
    assert_eq!(answer.header("location"), format!("http://h/v2/a/b/blobs/uploads/{id}"));
    assert_eq!(answer.header("content-length"), "0");
    let digest = Digest::sha256_of(b"hello world");
    let done =
        server.call("PUT", format!("{path}?digest={digest}")).header("host", "h").send().await.expect(201);
    assert_eq!(done.header("location"), format!("http://h/v2/a/b/blobs/{digest}"));
    assert_eq!(done.header("docker-content-digest"), digest.to_string());
    assert_eq!(server.call("GET", done.location_path()).send().await.expect(200).body, "hello world");
    server.call("GET", &path).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn an_upload_is_sent_in_chunks() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    for (range, body, so_far) in
        [("0-4", "01234", "0-4"), ("bytes 5-6/*", "56", "0-6"), ("7-9", "789", "0-9")]
    {
        let answer =
            server.call("PATCH", &path).header("content-range", range).body(body).send().await.expect(202);
        assert_eq!(answer.header("range"), so_far);
    }
    let digest = Digest::sha256_of(b"0123456789ab");
    let last =
        server.call("PUT", format!("{path}?digest={digest}")).header("content-range", "10-11").body("ab");
    last.send().await.expect(201);
}

#[tokio::test]
async fn a_blob_can_be_sent_with_the_last_request_alone() {
    let server = Server::new();
    for algorithm in Algorithm::ALL {
        let path = server.start_upload("a").await;
        let digest = Digest::of(algorithm, b"content");
        let answer =
            server.call("PUT", format!("{path}?digest={digest}")).body("content").send().await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
}

#[tokio::test]
async fn an_upload_reports_its_progress() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    for (body, range) in [("", "0-0"), ("x", "0-0"), ("yz", "0-2")] {
        server.call("PATCH", &path).body(body).send().await.expect(202);
        for method in ["GET", "HEAD"] {
            let answer = server.call(method, &path).send().await.expect(204);
            assert_eq!(answer.header("range"), range);
            assert!(path.ends_with(answer.header("docker-upload-uuid")));
            assert_eq!(answer.location_path(), path);
            assert!(answer.body.is_empty());
        }
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_is_answered_with_the_right_offset() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    server.call("PATCH", &path).header("content-range", "0-4").body("01234").send().await.expect(202);
    let digest = Digest::sha256_of(b"0123456789");
    for (method, target) in [("PATCH", path.clone()), ("PUT", format!("{path}?digest={digest}"))] {
        for range in ["0-4", "4-8", "6-10"] {
            let call = server.call(method, &target).header("content-range", range).body("56789");
            let answer = call.send().await.expect_error(416, "RANGE_INVALID");
            assert_eq!(answer.header("range"), "0-4");
            assert_eq!(answer.location_path(), path);
            assert!(path.ends_with(answer.header("docker-upload-uuid")));
        }
    }
    let call =
        server.call("PUT", format!("{path}?digest={digest}")).header("content-range", "5-9").body("56789");
    call.send().await.expect(201);
}

#[tokio::test]
async fn a_malformed_content_range_is_refused_and_the_upload_goes_on() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    for range in ["", "x", "5", "9-5", "0-", "-4", "bytes", "0-18446744073709551616", "+0-4"] {
        let call = server.call("PATCH", &path).header("content-range", range).body("01234");
        call.send().await.expect_error(400, "BLOB_UPLOAD_INVALID");
    }
    assert_eq!(server.call("GET", &path).send().await.expect(204).header("range"), "0-0");
    server.call("PATCH", &path).header("content-range", "0-4").body("01234").send().await.expect(202);
}

#[tokio::test]
async fn a_chunk_of_another_length_than_its_range_is_refused() {
    let server = Server::new();
    for body in ["0123", "012345"] {
        // With a Content-Length the fault is visible at once, without one at the end.
        let path = server.start_upload("a").await;
        let call = server.call("PATCH", &path).header("content-range", "0-4").body(body);
        call.send().await.expect_error(400, "SIZE_INVALID");
        assert_eq!(server.call("GET", &path).send().await.expect(204).header("range"), "0-0");
        let call = server.call("PATCH", &path).header("content-range", "0-4").chunks([body]);
        call.send().await.expect_error(400, "SIZE_INVALID");
    }
}

#[tokio::test]
async fn an_interrupted_upload_is_resumed_where_it_ended() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    server.call("PATCH", &path).vanishing_after(b"01234").send().await.expect(400);
    let answer = server.call("GET", &path).send().await.expect(204);
    assert_eq!(answer.header("range"), "0-4");
    server.call("PATCH", &path).header("content-range", "5-9").body("56789").send().await.expect(202);
    let digest = Digest::sha256_of(b"0123456789");
    server.call("PUT", format!("{path}?digest={digest}")).send().await.expect(201);
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_resumable() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    let call = server.call("PATCH", &path).chunks(["01234"]).header("content-length", "10");
    call.send().await.expect_error(400, "SIZE_INVALID");
    let range = server.call("GET", &path).send().await.expect(204).header("range").to_owned();
    assert_eq!(range, "0-4");
}

#[tokio::test]
async fn finishing_without_a_readable_digest_keeps_the_upload() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    server.call("PATCH", &path).body("content").send().await.expect(202);
    for query in
        ["", "?digest=", "?digest=nonsense", "?digest=md5:d41d8cd98f00b204e9800998ecf8427e", "?tag=x"]
    {
        let answer = server.call("PUT", format!("{path}{query}")).send().await;
        answer.expect_error(400, "DIGEST_INVALID");
    }
    let digest = Digest::sha256_of(b"content");
    server.call("PUT", format!("{path}?digest={digest}")).send().await.expect(201);
}

#[tokio::test]
async fn content_that_does_not_match_never_becomes_a_blob() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    let (expected, actual) = (Digest::sha256_of(b"other"), Digest::sha256_of(b"content"));
    let answer = server.call("PUT", format!("{path}?digest={expected}")).body("content").send().await;
    let detail = &answer.expect_error(400, "DIGEST_INVALID").details()[0];
    assert_eq!(
        (&detail["expected"], &detail["actual"]),
        (&expected.to_string().into(), &actual.to_string().into())
    );
    for digest in [expected, actual] {
        server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect_error(404, "BLOB_UNKNOWN");
    }
}

#[tokio::test]
async fn an_upload_can_be_cancelled() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    server.call("PATCH", &path).body("content").send().await.expect(202);
    server.call("DELETE", &path).send().await.expect(204);
    for method in ["GET", "PATCH", "DELETE"] {
        server.call(method, &path).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(server.files().await, []);
}

#[tokio::test]
async fn an_unknown_upload_is_not_found() {
    let server = Server::new();
    let digest = Digest::sha256_of(b"x");
    let own = server.start_upload("mine").await.replace("/mine/", "/other/");
    for path in [
        own.as_str(),
        "/v2/a/blobs/uploads/x",
        "/v2/a/blobs/uploads/..",
        "/v2/a/blobs/uploads/%2e%2e%2fx",
        "/v2/a/blobs/uploads/%ff",
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            server.call(method, path).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let put = server.call("PUT", format!("{path}?digest={digest}")).body("x").send().await;
        put.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[tokio::test]
async fn foreign_state_parameters_and_types_are_harmless() {
    let server = Server::new();
    let path = server.start_upload("a").await;
    let call = server.call("PATCH", format!("{path}?_state=abc%3D%3D"));
    call.header("content-type", "application/x-www-form-urlencoded").body("a=b&c=d").send().await.expect(202);
    let digest = Digest::sha256_of(b"a=b&c=d");
    server.call("PUT", format!("{path}?_state=abc&digest={digest}")).send().await.expect(201);
}
