//! Reads that break off, stall, or find another file.

use crate::faulty::{Fault, Request, faulty};
use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, ErrorKind, PutMode, StorageDriver, WriteMode};

use super::{content, open, path};

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_where_it_was_cut() {
    let (store, whole) = (faulty(), content(100_000));
    open(&store).put_content(&path("/blob"), whole.clone(), PutMode::Overwrite).await.unwrap();
    store.cut_after(30_001);
    for range in [ByteRange::ALL, ByteRange::from(5), ByteRange::new(17, 80_000)] {
        let expected = range.resolve(100_000).unwrap();
        let reader = open(&store).reader(&path("/blob"), range).await.unwrap();
        let chunks: Vec<Bytes> = reader.into_stream().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), whole.slice(expected.start as usize..expected.end as usize));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_does_not_go_on_with_another_file() {
    let store = faulty();
    let driver = open(&store);
    driver.put_content(&path("/blob"), content(100_000), PutMode::Overwrite).await.unwrap();
    store.cut_after(50_000);
    let reader = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap();
    driver.put_content(&path("/blob"), Bytes::from(vec![9; 100_000]), PutMode::Overwrite).await.unwrap();
    let result: Result<Vec<Bytes>, _> = reader.into_stream().try_collect().await;
    let error = result.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("replaced"), "{error}");
}

/// An hour between the chunks, and every connection is cut after a while: the time limits of requests must not limit a pull.
#[tokio::test(start_paused = true)]
async fn a_read_by_a_slow_client_comes_to_its_end() {
    let (store, whole) = (faulty(), content(5000));
    let driver = open(&store);
    driver.put_content(&path("/blob"), whole.clone(), PutMode::Overwrite).await.unwrap();
    store.cut_after(700);
    let mut stream = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap().into_stream();
    let mut read = Vec::new();
    while let Some(chunk) = stream.try_next().await.unwrap() {
        read.extend_from_slice(&chunk);
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    assert_eq!(read, whole);
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_up_when_nothing_comes_any_more() {
    let store = faulty();
    let driver = open(&store);
    driver.put_content(&path("/blob"), content(1000), PutMode::Overwrite).await.unwrap();
    store.cut_after(500);
    let reader = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap();
    store.fail(Request::Get, Fault::SlowDown, 1000);
    let result: Result<Vec<Bytes>, _> = reader.into_stream().try_collect().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn trouble_is_not_mistaken_for_a_missing_file() {
    for (fault, kind) in [
        (Fault::NoSuchBucket, ErrorKind::Unavailable),
        (Fault::Expired, ErrorKind::PermissionDenied),
        (Fault::SlowDown, ErrorKind::Unavailable),
    ] {
        let store = faulty();
        let driver = open(&store);
        driver.put_content(&path("/blob"), content(10), PutMode::Overwrite).await.unwrap();
        store.fail(Request::Get, fault, 3);
        assert_eq!(driver.stat(&path("/blob")).await.unwrap_err().kind(), kind);
        assert_eq!(driver.get_content(&path("/blob")).await.unwrap_err().kind(), kind);
        let append = driver.writer(&path("/up/data"), WriteMode::Append).await;
        assert_eq!(append.unwrap_err().kind(), kind, "{fault:?}");
    }
}
