//! end-2 in parts: `Range`, `If-Range`, `multipart/byteranges`.

use axum::body::Bytes;
use proptest::prelude::*;
use sampan_engine::oci::Digest;

use crate::support::image::noise;
use crate::support::{Answer, Server};

async fn of_ten(range: &str) -> Answer {
    let server = Server::new();
    let digest = server.push_blob("a", "0123456789").await;
    server.call("GET", format!("/v2/a/blobs/{digest}")).header("range", range).send().await
}

#[tokio::test]
async fn a_single_range_is_served() {
    for (range, content_range, body) in [
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=9-9", "bytes 9-9/10", "9"),
        ("bytes=0-100", "bytes 0-9/10", "0123456789"),
        ("bytes=20-30,1-2", "bytes 1-2/10", "12"),
    ] {
        let answer = of_ten(range).await.expect(206);
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{range}");
        assert_eq!(answer.body, body, "{range}");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert!(answer.has_header("etag") && answer.has_header("docker-content-digest"));
    }
}

#[tokio::test]
async fn a_range_outside_or_malformed_is_416_with_the_size() {
    for range in ["bytes=10-", "bytes=10-20", "bytes=5-2", "bytes=x-y", "bytes=-0", "bytes=", "bytes=1-2-3"] {
        let answer = of_ten(range).await.expect_error(416, "RANGE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */10", "{range}");
    }
}

#[tokio::test]
async fn an_ignored_range_gets_the_whole_blob() {
    for range in ["items=0-1", "0-1", "bytes=0-9,0-9,0-9"] {
        let answer = of_ten(range).await.expect(200);
        assert_eq!(answer.body, "0123456789", "{range}");
    }
}

#[tokio::test]
async fn if_range_serves_the_range_of_the_same_content_only() {
    let server = Server::new();
    let digest = server.push_blob("a", "0123456789").await;
    for (condition, status) in [
        (format!("\"{digest}\""), 206),
        (format!("W/\"{digest}\""), 200),
        ("\"other\"".to_owned(), 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), 200),
    ] {
        let call = server.call("GET", format!("/v2/a/blobs/{digest}"));
        call.header("range", "bytes=1-2").header("if-range", &condition).send().await.expect(status);
    }
}

#[tokio::test]
async fn head_ignores_ranges() {
    let server = Server::new();
    let digest = server.push_blob("a", "0123456789").await;
    let call = server.call("HEAD", format!("/v2/a/blobs/{digest}")).header("range", "bytes=1-2");
    assert_eq!(call.send().await.expect(200).header("content-length"), "10");
}

#[tokio::test]
async fn a_range_of_an_unknown_blob_is_not_found() {
    let digest = Digest::sha256_of(b"unknown");
    let server = Server::new();
    let call = server.call("GET", format!("/v2/a/blobs/{digest}")).header("range", "bytes=1-2");
    call.send().await.expect_error(404, "BLOB_UNKNOWN");
}

/// Parses `multipart/byteranges`: the `Content-Range` and the bytes of each part.
fn parts(answer: &Answer) -> Vec<(String, Bytes)> {
    let content_type = answer.header("content-type").to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let (delimiter, end) = (format!("\r\n--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let mut rest = &answer.body[..];
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(delimiter.as_bytes()) {
        let head_len = part.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&part[..head_len]).unwrap();
        let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: bytes ")).unwrap();
        let (first, last) = range.split_once('/').unwrap().0.split_once('-').unwrap();
        let len = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        let content = &part[head_len + 4..];
        parts.push((range.to_owned(), Bytes::copy_from_slice(&content[..len])));
        rest = &content[len..];
    }
    assert_eq!(rest, end.as_bytes());
    parts
}

#[tokio::test]
async fn several_ranges_come_as_a_multipart_in_the_requested_order() {
    let answer = of_ten("bytes=8-9, 0-1, -1").await.expect(206);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert!(!answer.has_header("content-range"));
    let expected = [("8-9/10", "89"), ("0-1/10", "01"), ("9-9/10", "9")];
    let expected = expected.map(|(range, body)| (range.to_owned(), Bytes::from_static(body.as_bytes())));
    assert_eq!(parts(&answer), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_range_gives_these_bytes_or_a_clean_416(first in 0_usize..600, len in 0_usize..600, open: bool) {
        let content = noise(500);
        let range = if open { format!("bytes={first}-") } else { format!("bytes={first}-{}", first + len) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(async {
            let server = Server::new();
            let digest = server.push_blob("a", content.clone()).await;
            server.call("GET", format!("/v2/a/blobs/{digest}")).header("range", &range).send().await
        });
        if first < 500 {
            let end = if open { 500 } else { (first + len + 1).min(500) };
            prop_assert_eq!(answer.status.as_u16(), 206);
            prop_assert_eq!(&answer.body[..], &content[first..end]);
        } else {
            prop_assert_eq!(answer.status.as_u16(), 416);
        }
    }
}
