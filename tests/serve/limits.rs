//! Slow clients are cut, and nobody else. The clock is paused, so that waiting takes no time.

use std::time::Duration;

use axum::body::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sampan::serve::ServeOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::support::{Running, exchange, get_kept, read_to_end};

/// Whether so many seconds have passed, or half the shortest timeout more (see `serve/activity.rs`).
fn check_elapsed(begun: Instant, seconds: u64) {
    let elapsed = begun.elapsed();
    let range = Duration::from_secs(seconds)..Duration::from_secs(seconds + 11);
    assert!(range.contains(&elapsed), "{elapsed:?} is not about {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut() {
    let server = Running::start(ServeOptions::default()).await;
    let begun = Instant::now();
    assert_eq!(read_to_end(&mut server.connect().await).await, "");
    check_elapsed(begun, 20);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n").await.unwrap();
    let (mut read, mut write) = client.into_split();
    let dripping = tokio::spawn(async move {
        while write.write_all(b"x: y\r\n").await.is_ok() {
            sleep(Duration::from_secs(5)).await;
        }
    });
    assert_eq!(read_to_end(&mut read).await, "");
    check_elapsed(begun, 20);
    dripping.abort();
    assert_eq!(server.statistics.cut(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_never_ends_is_cut() {
    let server = Running::start(ServeOptions { h2c: true, ..ServeOptions::default() }).await;
    let begun = Instant::now();
    assert_eq!(exchange(&mut server.connect().await, b"PRI * HT").await, "");
    check_elapsed(begun, 20);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_but_not_counted_as_cut() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    assert_eq!(get_kept(&mut client, "/").await, "hello");
    let begun = Instant::now();
    assert_eq!(read_to_end(&mut client).await, "");
    check_elapsed(begun, 120);
    assert_eq!(server.statistics.cut(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_told_to_the_handler_and_answered() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    let begun = Instant::now();
    let request = b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc";
    let response = exchange(&mut client, request).await;
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(
        response
            .ends_with("3 bytes and then: the client sent nothing more of the request's body for 60 seconds")
    );
    check_elapsed(begun, 60);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_slow_but_comes_may_take_all_day() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    let head = "POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..1000 {
        sleep(Duration::from_secs(55)).await;
        client.write_all(b"x").await.unwrap();
    }
    let response = read_to_end(&mut client).await;
    assert!(response.ends_with("\r\n\r\n1000 bytes"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    client.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let begun = Instant::now();
    let cut = async {
        while server.statistics.cut() == 0 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(600), cut).await.expect("it is never cut");
    check_elapsed(begun, 60);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_nobodys_fault() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    client.write_all(b"GET /gated HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(24 * 3600)).await;
    server.gate.notify_one();
    let response = read_to_end(&mut client).await;
    assert!(response.contains("begun,") && response.contains("ended"), "{response}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = Running::start(ServeOptions { max_connections: 1, ..ServeOptions::default() }).await;
    let mut first = server.connect().await;
    assert_eq!(get_kept(&mut first, "/").await, "hello");
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    // The server has had every chance to answer the second by the time it has answered the first again.
    for _ in 0..10 {
        assert_eq!(get_kept(&mut first, "/").await, "hello");
    }
    assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(server.statistics.open(), 1);
    drop(first);
    assert!(read_to_end(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Running::start(ServeOptions::default()).await;
    let large = |bytes: usize| format!("x: {}\r\n", "x".repeat(bytes));
    for (headers, status) in [
        (large(60_000), "200 OK"),
        (large(66_000), "431 Request Header Fields Too Large"),
        (large(1_000_000), "431 Request Header Fields Too Large"),
        ("x: y\r\n".repeat(90), "200 OK"),
        ("x: y\r\n".repeat(110), "431 Request Header Fields Too Large"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        let response = exchange(&mut server.connect().await, request.as_bytes()).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{} bytes: {response}",
            request.len()
        );
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_http2_and_the_connection_goes_on() {
    let server = Running::start(ServeOptions { h2c: true, ..ServeOptions::default() }).await;
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _connection = tokio::spawn(connection);
    for (bytes, status) in [(60_000, 200), (66_000, 431), (10, 200)] {
        let request = http::Request::get("http://test/").header("x", "x".repeat(bytes));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{bytes} bytes");
    }
}
