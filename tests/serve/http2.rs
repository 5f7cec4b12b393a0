//! HTTP/2 clients that read as little as possible. The clock is paused, so waiting takes no time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::routing::get;
use axum::{Error, Router};
use futures::stream;
use sampan::serve::{ReaderLimit, Security, ServeOptions};
use tokio::time::{Instant, advance};

use super::raw_http2::RawHttp2;
use super::support::Running;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn options() -> ServeOptions {
    ServeOptions { h2c: true, ..ServeOptions::default() }
}

/// A client that has requested `path` on `streams`, with a window of so many bytes for each.
async fn asking(server: &Running, window: u32, streams: &[u32], path: &str) -> RawHttp2 {
    let mut client = RawHttp2::connect(server, window).await;
    for stream in streams {
        client.get(*stream, "test", path).await;
    }
    assert!(client.settle().await);
    client
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_gets_one_byte_a_minute_is_reset() {
    let server = Running::start(options()).await;
    let mut client = asking(&server, 0, &[1], "/endless").await;
    for _ in 0..10 {
        client.open_window(1, 1).await;
        assert!(client.settle().await, "the connection is left alone");
        if client.reset == [1] {
            return;
        }
        // In steps: the server would take 50 seconds without a running task for a stopped process.
        for _ in 0..50 {
            advance(SECOND).await;
            tokio::task::yield_now().await;
        }
    }
    panic!("it is held for ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_never_opens_is_reset_and_the_others_continue() {
    let server = Running::start(options()).await;
    let mut client = asking(&server, 0, &[1, 3], "/endless").await;
    for _ in 0..65 {
        client.open_window(3, 4096).await;
        advance(SECOND).await;
        assert!(client.settle().await);
    }
    assert_eq!(client.reset, [1]);
    let before = client.data[&3];
    client.open_window(3, 4096).await;
    assert!(client.settle().await && client.settle().await);
    assert_eq!(client.data[&3], before + 4096);
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_a_slow_link_is_not_reset() {
    let server = Running::start(options()).await;
    let mut client = asking(&server, 0, &[1], "/endless").await;
    // A little more than 1 KiB/s, in bursts.
    for _ in 0..100 {
        advance(30 * SECOND).await;
        client.open_window(1, 33 * 1024).await;
        assert!(client.settle().await);
        assert!(client.reset.is_empty());
    }
    assert!(client.data[&1] > 90 * 33 * 1024);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_an_idle_connection_open() {
    let server = Running::start(options()).await;
    let mut client = asking(&server, 65_535, &[1], "/").await;
    let begun = Instant::now();
    // `settle` pings.
    while client.settle().await {
        assert!(begun.elapsed() < 5 * MINUTE, "it is open still");
        advance(SECOND).await;
    }
    assert!(begun.elapsed() >= 2 * MINUTE, "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_does_not_cut_its_client() {
    let server = Running::start(options()).await;
    let mut client = asking(&server, 65_535, &[1], "/gated").await;
    for _ in 0..60 {
        advance(MINUTE).await;
        assert!(client.settle().await);
    }
    server.gate.notify_one();
    while client.data.get(&1).is_none_or(|bytes| *bytes < "begun,ended".len()) {
        assert!(client.settle().await);
    }
    assert!(client.reset.is_empty());
}

/// A service that keeps a blob open for each request until its answer is sent.
fn reading(open: Arc<AtomicUsize>) -> Router {
    let read = |limit: Option<Extension<ReaderLimit>>| async move {
        let permit = match &limit {
            Some(Extension(limit)) => Some(limit.blob().await),
            None => None,
        };
        open.fetch_add(1, Ordering::Relaxed);
        Body::from_stream(stream::repeat_with(move || {
            let _held = &permit;
            Ok::<_, Error>(Bytes::from_static(&[0; 1024]))
        }))
    };
    Router::new().route("/read", get(read))
}

#[tokio::test(start_paused = true)]
async fn open_files_per_connection_are_limited() {
    let streams: Vec<u32> = (0..40).map(|number| 2 * number + 1).collect();
    let open = Arc::new(AtomicUsize::new(0));
    let server = Running::of(reading(open.clone()), options(), Security::Plain).await;
    let mut client = asking(&server, 0, &streams, "/read").await;
    assert_eq!(open.load(Ordering::Relaxed), 32);
    client.cancel(1).await;
    assert!(client.settle().await && client.settle().await);
    assert_eq!(open.load(Ordering::Relaxed), 33, "the next in line");

    // A proxy sends many requests.
    let open = Arc::new(AtomicUsize::new(0));
    let options = ServeOptions { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..options() };
    let server = Running::of(reading(open.clone()), options, Security::Plain).await;
    asking(&server, 0, &streams, "/read").await;
    assert_eq!(open.load(Ordering::Relaxed), 40);
}
