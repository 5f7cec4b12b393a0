//! The syntax of requests, byte for byte. A request that two servers read differently can smuggle another one.

use sampan::serve::ServeOptions;

use super::raw_http2::RawHttp2;
use super::support::{Running, exchange};

/// Sends `request` and checks that a single answer with `status` comes.
async fn check(server: &Running, request: &[u8], status: &str) {
    let response = exchange(&mut server.connect().await, request).await;
    let shown = String::from_utf8_lossy(request).escape_debug().to_string();
    assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {response}");
    let answers = response.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
    assert_eq!(answers, 1, "{shown}: one request has one answer: {response}");
}

#[tokio::test]
async fn http1_names_exactly_one_host() {
    let server = Running::start(ServeOptions::default()).await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nconnection: close\r\n\r\n", "400"),
        ("GET http://a/ HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n", "200"),
    ] {
        check(&server, head.as_bytes(), status).await;
    }
    let old = exchange(&mut server.connect().await, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200"), "HTTP/1.0 knows no hosts: {old}");
}

#[tokio::test]
async fn a_user_in_the_authority_is_refused() {
    let server = Running::start(ServeOptions { h2c: true, ..ServeOptions::default() }).await;
    let request = "POST http://u:p@evil/upload HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n";
    check(&server, request.as_bytes(), "400").await;
    let request = "POST http://good/upload HTTP/1.1\r\nhost: good\r\nconnection: close\r\n\r\n";
    check(&server, request.as_bytes(), "200").await;

    let mut client = RawHttp2::connect(&server, 65_535).await;
    client.get(1, "u:p@evil", "/").await;
    assert_eq!(client.status(1).await, 400);
    client.get(3, "good", "/").await;
    assert_eq!(client.status(3).await, 200, "the connection continues");
}

#[tokio::test]
async fn no_transfer_coding_but_chunked_is_understood() {
    let server = Running::start(ServeOptions::default()).await;
    for (coding, status) in [
        ("transfer-encoding: chunked\r\n", "200"),
        ("transfer-encoding: Chunked\r\n", "200"),
        ("transfer-encoding: gzip, chunked\r\n", "501"),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", "501"),
        ("transfer-encoding: chunked, chunked\r\n", "501"),
        // Without `chunked` at the end, the end of the body is unknown (RFC 9112, 6.3).
        ("transfer-encoding: gzip\r\n", "400"),
        ("transfer-encoding: chunked, gzip\r\n", "400"),
    ] {
        let request = format!(
            "POST /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{coding}\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        check(&server, request.as_bytes(), status).await;
    }
}

#[tokio::test]
async fn nothing_can_be_smuggled_behind_a_request() {
    let server = Running::start(ServeOptions::default()).await;
    let second = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let both = format!(
        "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{second}"
    );
    // The first is answered and the connection closed; the second is never read.
    check(&server, both.as_bytes(), "200").await;
    for framing in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +3\r\n",
        "content-length: -1\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: chunked\r\nx: a\r\n folded\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
    ] {
        let request = format!("POST /upload HTTP/1.1\r\nhost: a\r\n{framing}\r\nabc{second}");
        check(&server, request.as_bytes(), "400").await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_and_is_refused_gets_one_answer() {
    let server = Running::start(ServeOptions::default()).await;
    for framing in ["content-length: 50", "transfer-encoding: chunked"] {
        // What comes next is a body to one reader and a request to another, so nothing reads it.
        let request = format!(
            "POST /refuse HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n{framing}\r\n\r\n\
             GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        );
        check(&server, request.as_bytes(), "401").await;
    }
}
