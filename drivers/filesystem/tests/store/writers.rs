//! Writers, and files that change under them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use sampan_driver::{ErrorKind, StorageDriver, WriteMode};

use super::{create, open, path, store, text_of};

#[tokio::test]
async fn a_root_that_vanishes_under_a_writer_fails_the_commit() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    let driver = open(&root).await;
    let mut writer = driver.writer(&path("/u"), create()).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    fs::rename(&root, outer.path().join("moved")).unwrap();
    assert_eq!(writer.commit(&path("/to")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!outer.path().join("moved/to").exists());
}

#[tokio::test]
async fn one_file_has_one_writer_also_across_drivers() {
    let (dir, driver) = store().await;
    let other = open(dir.path()).await;
    let file = path("/u/data");
    let mut writer = driver.writer(&file, create()).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    for driver in [&driver, &other] {
        for mode in [create(), WriteMode::Append] {
            let error = driver.writer(&file, mode).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy);
            assert!(text_of(&error).contains("another writer"), "{}", text_of(&error));
        }
    }
    assert_eq!(writer.close(Bytes::new()).await.unwrap(), 3);
    assert_eq!(other.writer(&file, WriteMode::Append).await.unwrap().size(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_after_a_dropped_writer_counts_all_its_bytes() {
    let (dir, driver) = store().await;
    let file = path("/u/data");
    driver.writer(&file, create()).await.unwrap().close(Bytes::new()).await.unwrap();
    let mut expected = 0;
    for _ in 0..50 {
        let mut writer = driver.writer(&file, WriteMode::Append).await.unwrap();
        assert_eq!(writer.size(), fs::metadata(dir.path().join("u/data")).unwrap().size());
        assert!(writer.size() >= expected);
        expected = writer.size();
        writer.write(Bytes::from(vec![7; 600_000])).await.unwrap();
        drop(writer); // While the write is running.
    }
    let writer = driver.writer(&file, WriteMode::Append).await.unwrap();
    assert_eq!(writer.size(), 50 * 600_000);
}

#[tokio::test]
async fn a_file_that_another_program_changed_is_not_published() {
    let (dir, driver) = store().await;
    let mut writer = driver.writer(&path("/u/data"), create()).await.unwrap();
    writer.write(Bytes::from_static(b"hashed")).await.unwrap();
    let staged = dir.path().join("u/data");
    fs::write(&staged, "hashed and more").unwrap();
    let error = writer.commit(&path("/blob")).await.unwrap_err();
    assert!(text_of(&error).contains("another program has changed it"), "{}", text_of(&error));
    assert!(!dir.path().join("blob").exists() && staged.exists());
}

#[tokio::test]
async fn an_upload_deleted_during_a_write_is_not_found_and_does_not_reappear() {
    let (dir, driver) = store().await;
    let mut writer = driver.writer(&path("/u/data"), create()).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    driver.delete_tree(&path("/u")).await.unwrap();
    let error = writer.commit(&path("/blob")).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(!dir.path().join("blob").exists() && !dir.path().join("u").exists());
}

#[tokio::test]
async fn a_writer_dropped_by_a_crash_leaves_nothing_visible_at_its_target() {
    let (dir, driver) = store().await;
    let mut writer = driver.writer(&path("/u/data"), create()).await.unwrap();
    writer.write(Bytes::from(vec![1; 2_000_000])).await.unwrap();
    drop(writer);
    drop(driver);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["u"]);
}

#[tokio::test]
async fn a_commit_renews_the_time_of_an_upload_that_rested() {
    let (dir, driver) = store().await;
    driver.writer(&path("/u"), create()).await.unwrap().close(Bytes::new()).await.unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(dir.path().join("u")).unwrap().set_modified(long_ago).unwrap();
    let before = std::time::SystemTime::now();
    driver.writer(&path("/u"), WriteMode::Append).await.unwrap().commit(&path("/blob")).await.unwrap();
    assert!(driver.stat(&path("/blob")).await.unwrap().modified >= before);
}
