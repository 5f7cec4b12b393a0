//! Tests beyond the conformance suite: the limit, and this driver's refusals.

use bytes::Bytes;
use sampan_driver::{DriverError, DriverPath, ErrorKind, PutMode, StorageDriver, WriteHint, WriteMode};

use crate::InMemoryDriver;
use crate::content::ENTRY_BYTES;

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

async fn put(driver: &InMemoryDriver, at: &str, size: usize) -> Result<(), DriverError> {
    driver.put_content(&path(at), vec![7; size].into(), PutMode::Overwrite).await
}

fn kind<T>(result: Result<T, DriverError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// A store for `bytes` of content in files at `paths`.
fn store_for(bytes: u64, paths: &[&str]) -> InMemoryDriver {
    let entries: u64 = paths.iter().map(|path| path.len() as u64 + ENTRY_BYTES).sum();
    InMemoryDriver::with_limit(bytes + entries)
}

#[tokio::test]
async fn a_full_store_refuses_writes_until_a_file_is_deleted() {
    let driver = store_for(100_000, &["/a", "/b"]);
    put(&driver, "/a", 60_000).await.unwrap();
    put(&driver, "/b", 40_000).await.unwrap();
    assert_eq!(kind(put(&driver, "/c", 1).await), Some(ErrorKind::StorageFull));
    assert_eq!(kind(driver.stat(&path("/c")).await), Some(ErrorKind::NotFound));
    assert_eq!(driver.get_content(&path("/a")).await.unwrap().len(), 60_000);
    driver.delete(&path("/b")).await.unwrap();
    put(&driver, "/c", 40_000).await.unwrap();
}

/// Their paths and the rest of each take more memory than their content.
#[tokio::test]
async fn many_small_files_fill_the_store() {
    const LIMIT: u64 = 1 << 20;
    let driver = InMemoryDriver::with_limit(LIMIT);
    let mut count = 0;
    while kind(put(&driver, &format!("/{count:0200}"), 1).await).is_none() {
        count += 1;
    }
    assert_eq!(count, LIMIT / (201 + 1 + ENTRY_BYTES));
    // Space for one entry suffices for a rename and for a replacement.
    let (first, other) = (path(&format!("/{:0200}", 0)), path("/other"));
    driver.delete(&path(&format!("/{:0200}", 1))).await.unwrap();
    driver.rename(&first, &other).await.unwrap();
    put(&driver, "/other", 2).await.unwrap();
    driver.delete_tree(&DriverPath::root()).await.unwrap();
    let last = store_for(LIMIT, &["/last"]);
    put(&last, "/last", LIMIT as usize).await.unwrap();
    assert_eq!(
        kind(put(&last, "/last", 1).await),
        Some(ErrorKind::StorageFull),
        "both are there for a moment"
    );
}

#[tokio::test]
async fn staged_files_count_against_the_budget_and_return_it() {
    let driver = store_for(100_000, &["/u/staged", "/a"]);
    let create = || WriteMode::Create(WriteHint::default());
    let mut writer = driver.writer(&path("/u/staged"), create()).await.unwrap();
    writer.write(Bytes::from(vec![1; 80_000])).await.unwrap();
    assert_eq!(kind(writer.write(Bytes::from(vec![1; 21_000])).await), Some(ErrorKind::StorageFull));
    assert_eq!(writer.close(Bytes::new()).await.unwrap(), 80_000);
    assert_eq!(kind(put(&driver, "/a", 21_000).await), Some(ErrorKind::StorageFull));
    put(&driver, "/a", 20_000).await.unwrap();
    driver.delete_tree(&path("/u")).await.unwrap();
    driver.delete(&path("/a")).await.unwrap();
    put(&driver, "/a", 100_000).await.unwrap();
    driver.delete(&path("/a")).await.unwrap();

    let mut dropped = driver.writer(&path("/u/staged"), create()).await.unwrap();
    dropped.write(Bytes::from(vec![1; 100_000])).await.unwrap();
    drop(dropped);
    let mut writer = driver.writer(&path("/u/staged"), create()).await.unwrap();
    writer.write(Bytes::from(vec![1; 100_000])).await.unwrap();
    writer.commit(&path("/a")).await.unwrap();
    assert_eq!(driver.stat(&path("/a")).await.unwrap().size_bytes, 100_000);
}

#[tokio::test]
async fn a_path_cannot_become_both_a_file_and_a_prefix() {
    let driver = InMemoryDriver::new();
    put(&driver, "/a/b", 1).await.unwrap();
    put(&driver, "/c", 1).await.unwrap();
    assert_eq!(kind(put(&driver, "/a", 1).await), Some(ErrorKind::Other));
    assert_eq!(kind(put(&driver, "/a/b/c/d", 1).await), Some(ErrorKind::Other));
    assert_eq!(kind(driver.rename(&path("/c"), &path("/a/b/c")).await), Some(ErrorKind::Other));
    stage(&driver, "/s").await;
    let mut writer = driver.writer(&path("/s"), WriteMode::Append).await.unwrap();
    writer.write(Bytes::from_static(b"more")).await.unwrap();
    assert_eq!(kind(writer.commit(&path("/a")).await), Some(ErrorKind::Other));
    assert_eq!(driver.writer(&path("/s"), WriteMode::Append).await.unwrap().size(), 0, "as it was closed");
    let writer = driver.writer(&path("/t"), WriteMode::Create(WriteHint::default())).await.unwrap();
    assert_eq!(kind(writer.commit(&path("/a")).await), Some(ErrorKind::Other));
    assert!(driver.writer(&path("/t"), WriteMode::Append).await.is_err(), "nothing was closed");
    assert!(
        driver.writer(&path("/s"), WriteMode::Append).await.is_ok(),
        "a refused commit lost the staged file"
    );
}

#[tokio::test]
async fn of_two_appending_writers_the_second_to_close_fails() {
    let driver = InMemoryDriver::new();
    stage(&driver, "/s").await;
    let mut first = driver.writer(&path("/s"), WriteMode::Append).await.unwrap();
    let mut second = driver.writer(&path("/s"), WriteMode::Append).await.unwrap();
    first.write(Bytes::from_static(b"first")).await.unwrap();
    second.write(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(first.close(Bytes::new()).await.unwrap(), 5);
    assert_eq!(kind(second.close(Bytes::new()).await), Some(ErrorKind::Other));
    assert_eq!(driver.writer(&path("/s"), WriteMode::Append).await.unwrap().size(), 5);
}

#[tokio::test]
async fn a_writer_of_a_deleted_file_cannot_publish_it() {
    let driver = InMemoryDriver::new();
    let mut writer = driver.writer(&path("/u/s"), WriteMode::Create(WriteHint::default())).await.unwrap();
    writer.write(Bytes::from_static(b"content")).await.unwrap();
    driver.delete_tree(&path("/u")).await.unwrap();
    assert_eq!(kind(writer.commit(&path("/a")).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(driver.stat(&path("/a")).await), Some(ErrorKind::NotFound));
}

/// Closes an empty staged file.
async fn stage(driver: &InMemoryDriver, at: &str) {
    let writer = driver.writer(&path(at), WriteMode::Create(WriteHint::default())).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
}
