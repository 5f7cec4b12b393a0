//! Answers over HTTP that break off in the body, or are not the store's: a single one causes no failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[path = "support/s3/mod.rs"]
#[allow(dead_code, reason = "each test has faults of its own")]
mod s3;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use s3::{Conditions, Fault, S3, Sort};
use sampan_driver::{
    ByteRange, DirEntry, DriverConfig, DriverPath, ErrorKind, FileInfo, PutMode, StorageDriver, WriteHint,
    WriteMode,
};
use sampan_driver_object_store::S3Config;

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

async fn open(store: &S3) -> Arc<dyn StorageDriver> {
    let config: S3Config = serde_json::from_str(&store.section(r#", "chunksize": 5242880"#)).unwrap();
    config.build().await.unwrap()
}

/// Every operation of a driver, once.
async fn everything(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<()> {
    let content = Bytes::from(vec![7; 6_000_000]);
    driver.put_content(&path("/dir/small"), "small".into(), PutMode::Overwrite).await?;
    driver.put_content(&path("/dir/created"), "created".into(), PutMode::Create).await?;
    let listed: Vec<DirEntry> = driver.list(&path("/dir"), None).try_collect().await?;
    assert_eq!(listed.len(), 2);
    let walked: Vec<FileInfo> = driver.walk(&path("/dir"), None).try_collect().await?;
    assert_eq!(walked.len(), 2);
    let mut writer = driver.writer(&path("/up/data"), WriteMode::Create(WriteHint::default())).await?;
    writer.write(content.slice(..5_500_000)).await?;
    writer.close(Bytes::new()).await?;
    let mut writer = driver.writer(&path("/up/data"), WriteMode::Append).await?;
    assert_eq!(writer.size(), 5_500_000);
    writer.write(content.slice(5_500_000..)).await?;
    writer.commit(&path("/blob")).await?;
    driver.rename(&path("/blob"), &path("/moved")).await?;
    let read: Vec<Bytes> =
        driver.reader(&path("/moved"), ByteRange::ALL).await?.into_stream().try_collect().await?;
    assert!(read.concat() == content);
    assert_eq!(driver.get_content(&path("/dir/small")).await?, "small");
    driver.delete(&path("/dir/small")).await?;
    driver.delete_tree(&path("/")).await
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_requested_again() {
    for sort in [Sort::List, Sort::Begin, Sort::Copy, Sort::Delete, Sort::Get, Sort::Complete] {
        let store = S3::start(Conditions::Quoted);
        let driver = open(&store).await;
        store.take_seen();
        store.fail(sort, Fault::CutInAnswer, 0, 1);
        everything(&driver).await.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            panic!("{sort:?}: {error}: {cause:?}")
        });
        assert!(store.has_failed(), "{sort:?} was not cut");
        assert_eq!(store.keys(), [""; 0], "{sort:?}: something is left");
    }
}

/// Two and three consecutive cuts, for requests with more retries.
#[tokio::test]
async fn several_answers_that_break_off_cause_no_failure() {
    for sort in [Sort::List, Sort::Begin, Sort::Copy, Sort::Delete] {
        let store = S3::start(Conditions::Quoted);
        let driver = open(&store).await;
        store.fail(sort, Fault::CutInAnswer, 0, 3);
        everything(&driver).await.unwrap();
        assert!(store.has_failed(), "{sort:?} was not cut");
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_no_answer() {
    for sort in [Sort::List, Sort::Begin, Sort::Copy, Sort::Delete, Sort::Get, Sort::Head, Sort::Part] {
        let store = S3::start(Conditions::Quoted);
        let driver = open(&store).await;
        store.fail(sort, Fault::Page, 0, 1);
        everything(&driver).await.unwrap();
        driver.stat(&path("/missing")).await.unwrap_err();
        assert!(store.has_failed(), "{sort:?} got no page");
    }
}

/// Else a stored blob would be unknown to clients while an ingress has no route to the store.
#[tokio::test]
async fn a_page_does_not_say_that_a_file_is_missing() {
    let store = S3::start(Conditions::Quoted);
    let driver = open(&store).await;
    driver.put_content(&path("/a"), "a".into(), PutMode::Overwrite).await.unwrap();
    assert_eq!(driver.get_content(&path("/b")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(driver.stat(&path("/b")).await.unwrap_err().kind(), ErrorKind::NotFound);
    store.fail(Sort::Any, Fault::Page, 0, usize::MAX);
    let (a, range) = (path("/a"), ByteRange::ALL);
    let (content, stat, read) =
        futures::join!(driver.get_content(&a), driver.stat(&a), driver.reader(&a, range));
    let kinds = [content.unwrap_err().kind(), stat.unwrap_err().kind(), read.unwrap_err().kind()];
    assert_eq!(kinds, [ErrorKind::Unavailable; 3]);
}

/// As of a lock that was given back between the refusal and the question whose it is.
#[tokio::test]
async fn a_refused_creation_of_a_file_that_is_gone_is_tried_again() {
    let store = S3::start(Conditions::Quoted);
    let driver = open(&store).await;
    let create = async || driver.put_content(&path("/lock"), "mine".into(), PutMode::Create).await;
    store.fail(Sort::Create, Fault::Answer(412, "PreconditionFailed"), 0, 1);
    create().await.unwrap();
    assert_eq!(driver.get_content(&path("/lock")).await.unwrap(), "mine");
    assert_eq!(create().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    driver.delete(&path("/lock")).await.unwrap();
    store.fail(Sort::Create, Fault::Answer(412, "PreconditionFailed"), 0, usize::MAX);
    assert_eq!(create().await.unwrap_err().kind(), ErrorKind::AlreadyExists);
}
