//! The shutdown of a server.

use std::time::Duration;

use sampan::serve::{Drained, ServeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Running, get_kept, read_to_end};

/// A client in the middle of a response.
async fn in_the_middle(server: &Running) -> TcpStream {
    let mut client = server.connect().await;
    client.write_all(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"begun,\r\n") {
        received.push(client.read_u8().await.unwrap());
    }
    client
}

#[tokio::test]
async fn a_running_transfer_finishes_while_no_connection_is_accepted() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = in_the_middle(&server).await;
    let (address, gate) = (server.address, server.gate.clone());
    let ended = server.stop();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!ended.is_finished());
    gate.notify_one();
    let rest = read_to_end(&mut client).await;
    assert_eq!(rest, "5\r\nended\r\n0\r\n\r\n");
    assert_eq!(ended.await.unwrap(), Drained { aborted: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_takes_too_long_is_cut() {
    let drain_timeout = Duration::from_secs(30);
    let server = Running::start(ServeOptions { drain_timeout, ..ServeOptions::default() }).await;
    let mut client = in_the_middle(&server).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(server.stop().await.unwrap(), Drained { aborted: 1 });
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn without_a_drain_timeout_everything_ends_at_once() {
    let drain_timeout = Duration::ZERO;
    let server = Running::start(ServeOptions { drain_timeout, ..ServeOptions::default() }).await;
    let _client = in_the_middle(&server).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(server.stop().await.unwrap(), Drained { aborted: 1 });
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn idle_and_unused_connections_do_not_delay_the_shutdown() {
    let server = Running::start(ServeOptions::default()).await;
    let mut used = server.connect().await;
    assert_eq!(get_kept(&mut used, "/").await, "hello");
    let mut unused = server.connect().await;
    while server.statistics.accepted() < 2 {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    let ended = server.stop();
    assert_eq!(read_to_end(&mut used).await, "");
    assert_eq!(read_to_end(&mut unused).await, "");
    drop((used, unused));
    assert_eq!(ended.await.unwrap(), Drained { aborted: 0 });
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_dropped_server_leaves_no_connection_behind() {
    let server = Running::start(ServeOptions::default()).await;
    let mut client = in_the_middle(&server).await;
    let ended = server.into_ended();
    ended.abort();
    assert!(ended.await.unwrap_err().is_cancelled());
    assert_eq!(read_to_end(&mut client).await, "");
}
