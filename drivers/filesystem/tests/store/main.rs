//! Tests of this driver's particular behaviour, through its public API and in its directory.
#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod links;
mod writers;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Deadline, DriverConfig, DriverError, DriverPath, ErrorKind, PutMode, StorageDriver,
    StorageDriverExt, WriteHint, WriteMode,
};
use sampan_driver_filesystem::FilesystemConfig;
use tempfile::TempDir;

async fn store() -> (TempDir, Arc<dyn StorageDriver>) {
    let dir = tempfile::tempdir().unwrap();
    let driver = open(dir.path()).await;
    (dir, driver)
}

async fn open(root: &Path) -> Arc<dyn StorageDriver> {
    FilesystemConfig { rootdirectory: root.to_owned(), ..Default::default() }.build().await.unwrap()
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

fn create() -> WriteMode {
    WriteMode::Create(WriteHint::default())
}

fn text_of(error: &DriverError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_driver_path_is_a_path_below_the_root() {
    let (dir, driver) = store().await;
    let link = path("/docker/registry/v2/repositories/a/_manifests/tags/v1/current/link");
    driver.put_content(&link, Bytes::from_static(b"sha256:x"), PutMode::Overwrite).await.unwrap();
    let mut writer =
        driver.writer(&path("/docker/registry/v2/repositories/a/_uploads/u/data"), create()).await.unwrap();
    writer.write(Bytes::from_static(b"blob")).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    let repository = dir.path().join("docker/registry/v2/repositories/a");
    assert_eq!(fs::read(repository.join("_manifests/tags/v1/current/link")).unwrap(), b"sha256:x");
    assert_eq!(fs::read(repository.join("_uploads/u/data")).unwrap(), b"blob");

    let blob = path("/docker/registry/v2/blobs/sha256/ab/abc/data");
    let writer = driver
        .writer(&path("/docker/registry/v2/repositories/a/_uploads/u/data"), WriteMode::Append)
        .await
        .unwrap();
    writer.commit(&blob).await.unwrap();
    assert_eq!(fs::read(dir.path().join(blob.as_key())).unwrap(), b"blob");
    assert!(!repository.join("_uploads/u/data").exists());
}

#[tokio::test]
async fn modes_follow_the_umask_as_in_distribution() {
    let (dir, driver) = store().await;
    driver.put_content(&path("/put/file"), Bytes::new(), PutMode::Create).await.unwrap();
    let staged = driver.writer(&path("/staged/file"), create()).await.unwrap();
    let staged_mode = fs::metadata(dir.path().join("staged")).unwrap().permissions().mode();
    staged.commit(&path("/committed/file")).await.unwrap();
    fs::create_dir(dir.path().join("own")).unwrap();
    fs::write(dir.path().join("own/file"), "").unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
    assert_eq!(staged_mode, mode("own"));
    for name in ["put", "committed"] {
        assert_eq!(mode(name), mode("own"), "{name}");
    }
    for name in ["put/file", "committed/file"] {
        assert_eq!(mode(name), mode("own/file"), "{name}");
    }
}

#[tokio::test]
async fn a_temporary_file_left_by_a_crash_is_listed_under_its_own_name_only() {
    let (dir, driver) = store().await;
    fs::create_dir(dir.path().join("tag")).unwrap();
    let name = "link.0190a1b2-0000-4000-8000-000000000000.tmp";
    fs::write(dir.path().join("tag").join(name), "half").unwrap();
    assert!(driver.get_content(&path("/tag/link")).await.unwrap_err().is_not_found());
    let walked: Vec<_> =
        driver.walk(&path("/"), None).map_ok(|info| info.path.to_string()).try_collect().await.unwrap();
    assert_eq!(walked, [format!("/tag/{name}")]);
    let listed: Vec<_> =
        driver.list(&path("/tag"), None).map_ok(|entry| entry.name().to_owned()).try_collect().await.unwrap();
    assert_eq!(listed, [name]);
    driver.put_content(&path("/tag/link"), Bytes::from_static(b"new"), PutMode::Create).await.unwrap();
    assert_eq!(driver.get_content(&path("/tag/link")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_vanished_root_is_unavailable_and_is_not_re_created() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    let driver = open(&root).await;
    let file = path("/a/b");
    driver.put_content(&file, Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    fs::remove_dir_all(&root).unwrap();
    for replaced in [false, true] {
        if replaced {
            fs::create_dir(&root).unwrap(); // Like a mount point without its volume.
        }
        let errors = [
            driver.get_content(&file).await.map(drop).unwrap_err(),
            driver.stat(&file).await.map(drop).unwrap_err(),
            driver.exists(&file).await.map(drop).unwrap_err(),
            driver.put_content(&file, Bytes::new(), PutMode::Create).await.unwrap_err(),
            driver.writer(&file, create()).await.map(drop).unwrap_err(),
            driver.writer(&file, WriteMode::Append).await.map(drop).unwrap_err(),
            driver.rename(&file, &path("/c")).await.unwrap_err(),
            driver.delete(&file).await.unwrap_err(),
            driver.delete_tree(&file).await.unwrap_err(),
            driver.sync_deletions(std::slice::from_ref(&file)).await.unwrap_err(),
            driver.check().await.map(drop).unwrap_err(),
            driver.list(&path("/a"), None).try_collect::<Vec<_>>().await.map(drop).unwrap_err(),
            driver.walk(&path("/a"), None).try_collect::<Vec<_>>().await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(
                text_of(&error).contains(&format!("the root directory {} is gone", root.display())),
                "{}",
                text_of(&error)
            );
        }
        assert_eq!(root.exists(), replaced);
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_directory_is_reported() {
    let (_dir, driver) = store().await;
    driver.put_content(&path("/file"), Bytes::from_static(b"kept"), PutMode::Create).await.unwrap();
    let below = path("/file/below");
    let error = driver.put_content(&below, Bytes::new(), PutMode::Overwrite).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(text_of(&error).contains("a file is in the place of a directory"), "{}", text_of(&error));
    assert!(driver.stat(&below).await.unwrap_err().is_not_found());
    driver.delete(&below).await.unwrap();
    driver.delete_tree(&below).await.unwrap();
    assert_eq!(driver.get_content(&path("/file")).await.unwrap(), "kept");
}

#[tokio::test]
async fn sockets_pipes_and_foreign_names_are_neither_listed_nor_waited_for() {
    let (dir, driver) = store().await;
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::write(dir.path().join("lost+found/x"), "").unwrap();
    for name in ["/socket", "/pipe"] {
        assert!(driver.get_content(&path(name)).await.unwrap_err().is_not_found(), "{name}");
        assert!(driver.stat(&path(name)).await.unwrap_err().is_not_found(), "{name}");
    }
    assert_eq!(driver.list(&path("/"), None).count().await, 0);
    assert_eq!(driver.walk(&path("/"), None).count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_can_be_deleted_while_files_appear_in_it() {
    let (_dir, driver) = store().await;
    let writing = {
        let driver = Arc::clone(&driver);
        tokio::spawn(async move {
            for number in 0..200 {
                let file = path(&format!("/t/a/{number}"));
                match driver.put_content(&file, Bytes::new(), PutMode::Overwrite).await {
                    Ok(()) => {}
                    // Its directory was deleted too often: a write need not win against a loop of deletions.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", text_of(&error)),
                }
            }
        })
    };
    while !writing.is_finished() {
        driver.delete_tree(&path("/t")).await.unwrap();
    }
    writing.await.unwrap();
    driver.delete_tree(&path("/t")).await.unwrap();
    assert_eq!(driver.walk(&path("/"), None).count().await, 0);
}

#[tokio::test]
async fn a_reader_returns_the_open_file_and_large_files_in_large_chunks() {
    let (dir, driver) = store().await;
    let content: Vec<u8> = (0..3_500_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    fs::write(dir.path().join("blob"), &content).unwrap();
    fs::write(dir.path().join("small"), &content[..10_000]).unwrap();
    let reader = driver.reader(&path("/blob"), ByteRange::new(100, 3_000_000)).await.unwrap();
    assert_eq!(reader.file().unwrap().metadata().unwrap().len(), 3_500_000);
    let other = driver.reader(&path("/blob"), ByteRange::new(100, 3_000_000)).await.unwrap();
    fs::remove_file(dir.path().join("blob")).unwrap();
    let chunks: Vec<Bytes> = reader.into_stream().try_collect().await.unwrap();
    assert_eq!(chunks.concat(), content[100..3_000_100]);
    assert!(chunks.len() <= 12, "{} chunks", chunks.len());
    let windows: Vec<_> = other.into_file().unwrap().windows.try_collect().await.unwrap();
    assert_eq!((windows.len(), windows[0].start, windows[2].end), (3, 100, 3_000_100));
    let small = driver.reader(&path("/small"), ByteRange::ALL).await.unwrap();
    assert!(small.into_file().is_err(), "a small file is not worth a call of its own");
}

#[tokio::test]
async fn a_file_truncated_during_a_read_is_an_error_and_not_an_early_end() {
    let (dir, driver) = store().await;
    fs::write(dir.path().join("blob"), vec![1; 200_000]).unwrap();
    let reader = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap();
    fs::write(dir.path().join("blob"), "short").unwrap();
    let error = reader.into_stream().try_collect::<Vec<_>>().await.unwrap_err();
    assert!(text_of(&error).contains("should have 200000 bytes but has 5"), "{}", text_of(&error));
}

#[tokio::test]
async fn a_directory_is_removed_with_its_last_committed_or_deleted_file() {
    let (dir, driver) = store().await;
    for file in ["/blobs/a/data", "/blobs/b/data", "/uploads/x/startedat"] {
        driver.put_content(&path(file), Bytes::new(), PutMode::Overwrite).await.unwrap();
    }
    for upload in ["x", "y"] {
        let staged = driver.writer(&path(&format!("/uploads/{upload}/data")), create()).await.unwrap();
        staged.commit(&path(&format!("/blobs/{upload}/data"))).await.unwrap();
    }
    let all = ["/blobs/a/data", "/blobs/none/data", "/blobs/x/data"].map(path);
    let results: Vec<_> =
        driver.delete_all(futures::stream::iter(all).boxed(), Deadline::NONE).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    let there = |name: &str| dir.path().join(name).exists();
    assert!(there("uploads/x/startedat") && !there("uploads/y"));
    assert!(there("blobs/b/data") && there("blobs/y/data") && !there("blobs/a") && !there("blobs/x"));
}

#[tokio::test]
async fn many_files_are_deleted_and_each_has_its_own_result() {
    let (dir, driver) = store().await;
    let paths: Vec<_> = (0..600).map(|number| path(&format!("/d{}/f{number}", number % 7))).collect();
    for path in &paths {
        let file = dir.path().join(path.as_key());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    symlink("/", dir.path().join("out")).unwrap();
    let bad = path("/out/etc/hostname");
    let all: Vec<_> = paths.iter().cloned().chain([bad.clone(), path("/none/x")]).collect();
    let results: Vec<_> =
        driver.delete_all(futures::stream::iter(all.clone()).boxed(), Deadline::NONE).collect().await;
    assert_eq!(results.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), all);
    for (path, result) in results {
        assert_eq!(result.is_err(), path == bad, "{path}");
    }
}
