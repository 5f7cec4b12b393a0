//! Blobs: verified, resumed, bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sampan_client::{BlobStream, ClientError, ClientOptions, Problem, RetryPolicy};

use crate::server::{Reply, Seen, Server};
use crate::support::{Waits, content, digest, impatient, options, repository};

const SIZE: usize = 300_000;

async fn read(blob: &mut BlobStream) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = blob.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads the blob of `content(SIZE)` from a server whose answers depend on the number of the request, on the first byte that
/// is asked for, and on the content.
async fn fetch(
    options: ClientOptions,
    known_size: Option<u64>,
    reply: impl Fn(u32, usize, &[u8]) -> Reply + Send + Sync + 'static,
) -> (Result<Vec<u8>, ClientError>, Vec<Seen>) {
    let bytes = content(SIZE);
    let wanted = digest(&bytes);
    let count = AtomicU32::new(0);
    let server = Server::start(move |seen| {
        let start = seen.header("range").map_or(0, |text| {
            text.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        });
        reply(count.fetch_add(1, Ordering::Relaxed), start, &bytes)
    })
    .await;
    let repository = repository(&server, options);
    let result = match repository.blob(&wanted, known_size).await {
        Ok(blob) => read(&mut blob.unwrap()).await,
        Err(error) => Err(error),
    };
    (result, server.seen())
}

fn partial(start: usize, bytes: &[u8]) -> Reply {
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    Reply::new(206).header("Content-Range", range).body(&bytes[start..])
}

#[tokio::test]
async fn a_blob_arrives_whole_with_and_without_a_known_length() {
    for size in [Some(SIZE as u64), None] {
        let (read, seen) =
            fetch(options(&Waits::default()), size, |_, _, bytes| Reply::new(200).body(bytes)).await;
        assert_eq!(read.unwrap(), content(SIZE));
        assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
    }
    let chunked = |_, _, bytes: &[u8]| Reply::new(200).body(bytes).announcing(None);
    let (read, _) = fetch(options(&Waits::default()), None, chunked).await;
    assert_eq!(read.unwrap(), content(SIZE));
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let waits = Waits::default();
    let (read, seen) = fetch(options(&waits), Some(SIZE as u64), |number, start, bytes| match number {
        0 => Reply::new(200).body(bytes).cut_after(100_000),
        1 => partial(start, bytes).cut_after(50_000),
        2 => Reply::new(503),
        3 => Reply::broken(),
        _ => partial(start, bytes),
    })
    .await;
    assert_eq!(read.unwrap(), content(SIZE));
    assert_eq!(seen.last().unwrap().header("range"), Some("bytes=150000-"));
    assert_eq!(waits.all().len(), 4);
}

#[tokio::test]
async fn a_server_that_ignores_range_sends_it_all_and_the_client_passes_over_what_it_has() {
    let (read, seen) = fetch(options(&Waits::default()), None, |number, _, bytes| match number {
        0..=2 => Reply::new(200).body(bytes).cut_after(100_000 + number as usize),
        _ => Reply::new(200).body(bytes),
    })
    .await;
    assert_eq!(read.unwrap(), content(SIZE));
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn a_silent_transfer_goes_on_elsewhere() {
    let (read, seen) = fetch(impatient(&Waits::default()), None, |number, start, bytes| match number {
        0 => Reply::new(200).body(bytes).stalling_after(1000),
        _ => partial(start, bytes),
    })
    .await;
    assert_eq!(read.unwrap(), content(SIZE));
    assert_eq!(seen[1].header("range"), Some("bytes=1000-"));
}

#[tokio::test]
async fn a_chunked_transfer_that_breaks_is_resumed_too() {
    let (read, _) = fetch(options(&Waits::default()), None, |number, start, bytes| match number {
        0 => Reply::new(200).body(bytes).announcing(None).cut_after(5000),
        _ => partial(start, bytes).announcing(None),
    })
    .await;
    assert_eq!(read.unwrap(), content(SIZE));
}

#[tokio::test]
async fn wrong_content_is_never_a_blob() {
    type Case = (Option<u64>, Arc<dyn Fn(u32, usize, &[u8]) -> Reply + Send + Sync>, fn(&Problem) -> bool);
    let size = SIZE as u64;
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[SIZE - 1] ^= 1;
        bytes
    };
    let is_digest: fn(&Problem) -> bool = |problem| matches!(problem, Problem::Digest { .. });
    let is_length: fn(&Problem) -> bool = |problem| matches!(problem, Problem::Length { .. });
    let is_protocol: fn(&Problem) -> bool = |problem| matches!(problem, Problem::Protocol(_));
    let cases: Vec<Case> = vec![
        (Some(size), Arc::new(move |_, _, bytes| Reply::new(200).body(flipped(bytes))), is_digest),
        // Shorter, with and without a length.
        (None, Arc::new(|_, _, bytes| Reply::new(200).body(&bytes[1..])), is_digest),
        (None, Arc::new(|_, _, bytes| Reply::new(200).body(&bytes[1..]).announcing(None)), is_digest),
        (Some(size), Arc::new(|_, _, bytes| Reply::new(200).body(&bytes[1..])), is_length),
        // Longer.
        (Some(size), Arc::new(|_, _, bytes| Reply::new(200).body([bytes, b"x"].concat())), is_length),
        (
            Some(size),
            Arc::new(|_, _, bytes| Reply::new(200).body([bytes, b"x"].concat()).announcing(None)),
            is_length,
        ),
        (
            Some(size),
            Arc::new(|_, _, bytes| Reply::new(200).body(bytes).announcing(Some(1 << 60))),
            is_length,
        ),
        // The rest of another blob, from elsewhere, of another length.
        (
            None,
            Arc::new(move |number, start, bytes| match number {
                0 => Reply::new(200).body(bytes).cut_after(1000),
                _ => partial(start, &flipped(bytes)),
            }),
            is_digest,
        ),
        (
            None,
            Arc::new(|number, start, bytes| match number {
                0 => Reply::new(200).body(bytes).cut_after(1000),
                _ => partial(start - 1, bytes),
            }),
            is_protocol,
        ),
        (
            None,
            Arc::new(|number, start, bytes| match number {
                0 => Reply::new(200).body(bytes).cut_after(1000),
                _ => partial(start, &bytes[..SIZE - 1]),
            }),
            is_length,
        ),
        (
            None,
            Arc::new(|number, start, bytes| match number {
                0 => Reply::new(200).body(bytes).cut_after(1000),
                _ => Reply::new(206).body(&bytes[start..]),
            }),
            is_protocol,
        ),
        // A part although all was asked for.
        (None, Arc::new(|_, start, bytes| partial(start, bytes)), is_protocol),
    ];
    for (index, (size, reply, expected)) in cases.into_iter().enumerate() {
        let (read, _) =
            fetch(options(&Waits::default()), size, move |number, start, bytes| reply(number, start, bytes))
                .await;
        let error = read.expect_err(&format!("case {index}"));
        assert!(expected(error.problem()), "case {index}: {error}");
    }
}

#[tokio::test]
async fn a_transfer_that_stays_broken_is_given_up() {
    let waits = Waits::default();
    let (read, _) = fetch(options(&waits), None, |number, _, bytes| match number {
        0 => Reply::new(200).body(bytes).cut_after(1000),
        _ => Reply::new(502),
    })
    .await;
    assert_eq!(read.unwrap_err().status(), Some(502));
    let once = ClientOptions { retry: RetryPolicy::NONE, ..options(&waits) };
    let (read, seen) = fetch(once, None, |_, _, bytes| Reply::new(200).body(bytes).cut_after(1000)).await;
    assert!(matches!(read.unwrap_err().problem(), Problem::Broken(_)));
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_server_that_gives_a_few_bytes_each_time_cannot_keep_the_client_for_ever() {
    let waits = Waits::default();
    let (read, seen) = fetch(options(&waits), None, |_, start, bytes| match start {
        0 => Reply::new(200).body(bytes).cut_after(10),
        start => partial(start, bytes).cut_after(10),
    })
    .await;
    assert!(matches!(read.unwrap_err().problem(), Problem::Broken(_)));
    assert!(seen.len() < 200, "{}", seen.len());
    assert!(waits.total().as_secs() <= 600);
}

#[tokio::test]
async fn a_blob_that_is_missing_is_none_and_one_without_bytes_is_one() {
    let server = Server::start(|_| Reply::new(404)).await;
    let missing = repository(&server, options(&Waits::default()));
    assert!(missing.blob(&digest(b"x"), None).await.unwrap().is_none());
    assert!(missing.blob_info(&digest(b"x")).await.unwrap().is_none());
    assert!(!missing.delete_blob(&digest(b"x")).await.unwrap());
    let server = Server::start(|_| Reply::new(200)).await;
    let empty = repository(&server, options(&Waits::default()));
    for size in [None, Some(0)] {
        let mut blob = empty.blob(&digest(b""), size).await.unwrap().unwrap();
        assert_eq!(read(&mut blob).await.unwrap(), b"");
    }
    let mut wrong = empty.blob(&digest(b"x"), None).await.unwrap().unwrap();
    assert!(matches!(read(&mut wrong).await.unwrap_err().problem(), Problem::Digest { .. }));
}

#[tokio::test]
async fn the_rest_of_a_blob_is_read_from_an_offset() {
    let bytes = content(SIZE);
    let body = bytes.clone();
    let server = Server::start(move |_| partial(1000, &body)).await;
    let repository = repository(&server, options(&Waits::default()));
    let mut blob = repository.blob_from(&digest(&bytes), SIZE as u64, 1000).await.unwrap().unwrap();
    assert_eq!(read(&mut blob).await.unwrap(), bytes[1000..]);
    let mut blob = repository.blob_from(&digest(&bytes), SIZE as u64, SIZE as u64).await.unwrap().unwrap();
    assert_eq!(read(&mut blob).await.unwrap(), b"");
}

#[tokio::test]
async fn the_length_is_found_where_head_is_refused() {
    type Case = (u16, Reply, Option<u64>);
    let whole = || Reply::new(200).body("12345");
    let part = || Reply::new(206).header("Content-Range", "bytes 0-0/77").body("1");
    let cases: Vec<Case> = vec![
        (401, part(), Some(77)),
        (403, part(), Some(77)),
        (405, whole(), Some(5)),
        (501, Reply::new(416).header("Content-Range", "bytes */0"), Some(0)),
        (405, Reply::new(206), None),
    ];
    for (status, get, expected) in cases {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" if status == 401 => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
            "HEAD" => Reply::new(status),
            _ => get.clone(),
        })
        .await;
        let info = repository(&server, options(&Waits::default())).blob_info(&digest(b"")).await.unwrap();
        assert_eq!(info.unwrap().size_bytes, expected, "{status}");
    }
    let server = Server::start(|_| Reply::new(200).announcing(Some(1 << 40))).await;
    let info = repository(&server, options(&Waits::default())).blob_info(&digest(b"")).await.unwrap();
    assert_eq!(info.unwrap().size_bytes, Some(1 << 40));
}
