//! The server cuts slow clients, and no others. The clock is paused, so waiting takes no time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sampan::serve::ServeOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, advance, sleep, timeout};

use super::support::{Running, exchange, get_kept, in_no_time, read_to_end};

/// Checks that `seconds` have passed, plus at most half the shortest timeout (see `serve/activity.rs`).
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
        response.ends_with("3 bytes and then: the client sent no more of the request's body for 60 seconds")
    );
    check_elapsed(begun, 60);
}

/// The client's data arrived during the pause, so the client is not at fault.
#[tokio::test(start_paused = true)]
async fn a_body_is_read_on_after_the_process_was_stopped_for_minutes() {
    let server = Running::start(ServeOptions::default()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let request = b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nabc";
    write.write_all(request).await.unwrap();
    in_no_time(async {
        while server.received.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The clock advances for all tasks, and none runs meanwhile.
    advance(Duration::from_secs(180)).await;
    write.write_all(b"def").await.unwrap();
    let mut response = [0; 64];
    let length = in_no_time(async { read.read(&mut response).await.unwrap() }).await;
    let response = String::from_utf8_lossy(&response[..length]);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

/// Sends a body of `bytes` every `pause`, at most a hundred times; returns an answer that comes before the end.
async fn slow_body(bytes: usize, pause: Duration) -> Option<String> {
    let server = Running::start(ServeOptions::default()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let length = 100 * bytes;
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let response = tokio::spawn(async move { read_to_end(&mut read).await });
    for number in 1..=100 {
        in_no_time(async {
            let _ = write.write_all(&vec![b'x'; bytes]).await;
            while server.received.load(Ordering::Relaxed) < number * bytes && !response.is_finished() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        if number < 100 && response.is_finished() {
            return Some(response.await.unwrap());
        }
        advance(pause).await;
    }
    let response = response.await.unwrap();
    assert!(response.ends_with(&format!("\r\n\r\n{length} bytes")), "{response}");
    None
}

#[tokio::test(start_paused = true)]
async fn a_body_over_a_slow_link_may_take_all_day() {
    assert_eq!(slow_body(55 * 1100, Duration::from_secs(55)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_told_to_the_handler_and_answered() {
    let response = slow_body(1, Duration::from_millis(1500)).await.expect("it may drip for ever");
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(
        response.ends_with("the client sent the request's body slower than 1024 bytes per second"),
        "{response}"
    );
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
async fn a_slow_handler_does_not_cut_its_client() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = server.connect().await;
    client.write_all(b"GET /gated HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(24 * 3600)).await;
    server.gate.notify_one();
    let response = read_to_end(&mut client).await;
    assert!(response.contains("begun,") && response.contains("ended"), "{response}");
}

/// A client whose answer waits for the gate.
async fn working(server: &Running) -> TcpStream {
    let mut client = server.connect().await;
    client.write_all(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"begun,\r\n") {
        received.push(client.read_u8().await.unwrap());
    }
    client
}

const LAST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_those_at_work() {
    let server = Running::start(ServeOptions { max_connections: 1, ..ServeOptions::default() }).await;
    let first = working(&server).await;
    let mut second = server.connect().await;
    second.write_all(LAST).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(server.statistics.open(), 1);
    // The first connection becomes idle and makes room.
    server.gate.notify_one();
    assert!(read_to_end(&mut second).await.ends_with("hello"));
    drop(first);
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let server = Running::start(ServeOptions { max_connections: 2, ..ServeOptions::default() }).await;
    let mut unused = server.connect().await;
    while server.statistics.accepted() < 1 {
        tokio::task::yield_now().await;
    }
    let mut kept = server.connect().await;
    assert_eq!(get_kept(&mut kept, "/").await, "hello");
    let mut third = server.connect().await;
    assert_eq!(get_kept(&mut third, "/").await, "hello");
    assert_eq!(read_to_end(&mut unused).await, "", "it was there first");
    assert_eq!(get_kept(&mut kept, "/").await, "hello", "the others are left alone");
    let mut fourth = server.connect().await;
    assert_eq!(get_kept(&mut fourth, "/").await, "hello");
    assert_eq!(read_to_end(&mut third).await, "", "it has rested for longer");
    assert_eq!(server.statistics.cut(), 0);
}

#[tokio::test]
async fn one_address_has_only_its_share_of_the_connections() {
    let options = ServeOptions { max_connections_per_network: 1, ..ServeOptions::default() };
    let server = Running::start(options.clone()).await;
    let _first = working(&server).await;
    assert_eq!(read_to_end(&mut server.connect().await).await, "", "closed without an answer");
    server.gate.notify_one();

    let proxies = ServeOptions { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..options };
    let server = Running::start(proxies).await;
    let _first = working(&server).await;
    assert!(exchange(&mut server.connect().await, LAST).await.ends_with("hello"));
    server.gate.notify_one();
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
