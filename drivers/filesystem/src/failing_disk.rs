//! Tests of a failing disk, call by call.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rustix::io::Errno;
use sampan_driver::{
    Condition, Deadline, DriverError, DriverPath, ErrorKind, PutMode, StorageDriver, StorageDriverExt,
    WriteHint, WriteMode,
};
use tempfile::TempDir;

use crate::directories::Directories;
use crate::disk::Call;
use crate::disk::faults::CallWatch;
use crate::driver::FilesystemDriver;
use crate::store::Store;
use crate::sync_rule::SyncRule;

/// A driver with its own directory whose calls can fail, and its store.
pub(crate) struct Fixture {
    pub(crate) driver: FilesystemDriver,
    pub(crate) watch: CallWatch,
    store: Arc<Store>,
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn new(rule: fn(u64) -> SyncRule) -> Self {
        // In memory: syncs are counted and need not be slow.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let watch = CallWatch::over(dir.path());
        let mut store = Store::open(dir.path().to_owned(), 25).unwrap();
        store.directories = Directories::new(rule(store.root.identity().0));
        let store = Arc::new(store);
        Self { driver: FilesystemDriver::over(Arc::clone(&store)), watch, store, dir }
    }

    fn there(&self, key: &str) -> bool {
        self.dir.path().join(key).exists()
    }

    async fn put(&self, file: &str, content: &'static str) -> Result<(), DriverError> {
        self.driver.put_content(&path(file), Bytes::from_static(content.as_bytes()), PutMode::Overwrite).await
    }

    async fn stage(&self, content: &'static str) {
        let mut writer = self.driver.writer(&path("/u/data"), create()).await.unwrap();
        writer.write(Bytes::from_static(content.as_bytes())).await.unwrap();
        assert_eq!(writer.close(bytes::Bytes::new()).await.unwrap(), content.len() as u64);
    }

    /// Commits the staged file, like a repeated request.
    async fn commit(&self) -> Result<(), DriverError> {
        let writer = self.driver.writer(&path("/u/data"), WriteMode::Append).await?;
        writer.commit(&path("/blobs/x/data")).await
    }

    /// Asserts that the store refuses writes, with `word` in the reason, and still serves `file`.
    async fn takes_no_writes(&self, word: &str, file: &str) {
        let Condition::ReadOnly(reason) = self.driver.check().await.unwrap() else {
            panic!("it accepts writes")
        };
        assert!(reason.contains(word), "{reason}");
        let paths = stream::iter([path(file)]).boxed();
        let errors = [
            self.put("/other", "x").await.unwrap_err(),
            self.driver.writer(&path("/v/data"), create()).await.map(drop).unwrap_err(),
            self.driver.rename(&path(file), &path("/moved")).await.unwrap_err(),
            self.driver.delete(&path(file)).await.unwrap_err(),
            self.driver.delete_tree(&path(file)).await.unwrap_err(),
            self.driver.delete_all(paths, Deadline::NONE).next().await.unwrap().1.unwrap_err(),
            self.driver.sync_deletions(&[path(file)]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(text_of(&error).contains("the store accepts no writes"), "{}", text_of(&error));
        }
        assert_eq!(self.driver.get_content(&path(file)).await.unwrap(), "served");
    }

    async fn recovers(&self) -> bool {
        self.store.trouble.let_rest();
        self.driver.check().await.unwrap() == Condition::Writable
    }
}

pub(crate) fn posix(_device: u64) -> SyncRule {
    SyncRule::EachParent
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

fn create() -> WriteMode {
    WriteMode::Create(WriteHint::default())
}

fn text_of(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", text_of(source)),
        None => error.to_string(),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_close_that_fills_the_disk_leaves_the_file_as_it_was() {
    let place = Fixture::new(posix);
    for (staged, mode) in [("", create()), ("content", WriteMode::Append)] {
        if !staged.is_empty() {
            place.stage(staged).await;
        }
        let mut writer = place.driver.writer(&path("/u/data"), mode).await.unwrap();
        writer.write(Bytes::from_static(b"written")).await.unwrap();
        writer.flush().await.unwrap();
        writer.write(Bytes::from_static(b"gathered")).await.unwrap();
        place.watch.fail(Call::Write, "u/data", Errno::NOSPC, 1);
        let error = writer.close(Bytes::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
        match place.driver.writer(&path("/u/data"), WriteMode::Append).await {
            Ok(writer) => assert_eq!((writer.size(), place.there("u/data")), (7, true)),
            Err(error) => assert!(staged.is_empty() && error.is_not_found(), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_commit_that_was_not_synced_cannot_succeed_on_a_retry() {
    let place = Fixture::new(posix);
    place.put("/served", "served").await.unwrap();
    place.stage("content").await;
    place.watch.fail(Call::SyncFile, "u/data", Errno::IO, 1);
    let error = place.commit().await.unwrap_err();
    assert!(text_of(&error).contains("did not reach the disk and was removed"), "{}", text_of(&error));
    assert!(!place.there("u/data") && !place.there("blobs/x/data"));
    place.takes_no_writes("writing a file to the disk failed", "/served").await;
    assert!(place.commit().await.is_err());

    assert!(place.recovers().await);
    assert!(place.commit().await.unwrap_err().is_not_found(), "the client starts again");
    place.stage("content").await;
    place.commit().await.unwrap();
    assert_eq!(place.driver.get_content(&path("/blobs/x/data")).await.unwrap(), "content");
}

/// As by a signal, on FUSE and network file systems.
#[tokio::test]
async fn an_interrupted_call_is_repeated() {
    let place = Fixture::new(posix);
    for call in [Call::Create, Call::SyncFile, Call::SyncDirectory] {
        place.watch.fail(call, "", Errno::INTR, 2);
    }
    place.put("/a/file", "content").await.unwrap();
    place.stage("content").await;
    place.watch.fail(Call::SyncFile, "", Errno::INTR, 2);
    place.commit().await.unwrap();
    assert!(place.watch.has_failed());
}

#[tokio::test]
async fn a_full_disk_at_the_sync_loses_only_the_upload() {
    let place = Fixture::new(posix);
    place.stage("content").await;
    place.watch.fail(Call::SyncFile, "u/data", Errno::NOSPC, 1);
    assert_eq!(place.commit().await.unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(!place.there("u/data"));
    assert_eq!(place.driver.check().await.unwrap(), Condition::Writable);
    assert!(place.commit().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_rename_that_was_not_synced_leaves_neither_name() {
    let place = Fixture::new(posix);
    place.put("/from", "x").await.unwrap();
    place.watch.fail(Call::SyncFile, "from", Errno::IO, 1);
    let error = place.driver.rename(&path("/from"), &path("/to")).await.unwrap_err();
    assert!(text_of(&error).contains("did not reach the disk"), "{}", text_of(&error));
    assert!(names(place.dir.path()).is_empty(), "{:?}", names(place.dir.path()));
}

#[tokio::test]
async fn content_that_was_not_synced_is_not_published() {
    let place = Fixture::new(posix);
    place.put("/a/link", "served").await.unwrap();
    place.watch.fail(Call::SyncFile, "a/link", Errno::IO, 1);
    let error = place.put("/a/link", "new").await.unwrap_err();
    assert!(text_of(&error).contains("did not reach the disk"), "{}", text_of(&error));
    assert_eq!(names(&place.dir.path().join("a")), ["link"]);
    place.takes_no_writes("writing a file to the disk failed", "/a/link").await;
}

#[tokio::test]
async fn a_new_name_that_did_not_reach_the_disk_is_removed() {
    let place = Fixture::new(posix);
    place.put("/served", "served").await.unwrap();
    place.put("/a/other", "x").await.unwrap();
    place.put("/blobs/x/other", "x").await.unwrap();
    place.watch.fail(Call::SyncDirectory, "a", Errno::IO, 1);
    let error = place.put("/a/link", "new").await.unwrap_err();
    assert!(text_of(&error).contains("the name of the file did not reach the disk"), "{}", text_of(&error));
    assert!(!place.there("a/link"), "a later sync would say that it is on disk");
    place.takes_no_writes("writing a directory to the disk failed", "/served").await;
    assert!(place.recovers().await);

    place.stage("content").await;
    place.watch.fail(Call::SyncDirectory, "blobs/x", Errno::IO, 1);
    place.commit().await.unwrap_err();
    assert!(!place.there("blobs/x/data") && !place.there("u/data"));
    assert!(place.recovers().await);
    assert!(place.commit().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_replaced_file_is_whole_whichever_version_is_on_disk() {
    let place = Fixture::new(posix);
    place.put("/a/link", "old").await.unwrap();
    place.watch.fail(Call::SyncDirectory, "a", Errno::IO, 1);
    place.put("/a/link", "served").await.unwrap_err();
    place.takes_no_writes("writing a directory to the disk failed", "/a/link").await;
    assert!(place.recovers().await);
    place.put("/a/link", "again").await.unwrap();
}

#[tokio::test]
async fn a_name_that_cannot_be_removed_blocks_writes_until_a_restart() {
    let place = Fixture::new(posix);
    place.put("/served", "served").await.unwrap();
    place.put("/a/other", "x").await.unwrap();
    place.watch.fail(Call::SyncDirectory, "a", Errno::IO, 1);
    place.watch.fail(Call::Unlink, "a/link", Errno::IO, 1);
    place.put("/a/link", "new").await.unwrap_err();
    assert!(!place.recovers().await);
    place.takes_no_writes("restart the registry", "/served").await;
}

#[tokio::test]
async fn an_unsynced_directory_or_deletion_blocks_writes_until_a_restart() {
    for at in ["", "a"] {
        let place = Fixture::new(posix);
        place.put("/served", "served").await.unwrap();
        place.put("/a/link", "x").await.unwrap();
        place.watch.fail(Call::SyncDirectory, at, Errno::IO, 1);
        let result = match at {
            "" => place.put("/new/link", "x").await,
            _ => place.driver.delete(&path("/a/link")).await,
        };
        assert!(result.is_err() && place.watch.has_failed());
        assert!(!place.recovers().await);
        place.takes_no_writes("restart the registry", "/served").await;
    }
}

#[tokio::test]
async fn a_disk_that_fails_the_probe_gets_no_writes() {
    let place = Fixture::new(posix);
    place.put("/served", "served").await.unwrap();
    place.watch.fail(Call::SyncFile, "", Errno::IO, 3);
    place.put("/a/link", "x").await.unwrap_err();
    for _ in 0..2 {
        assert!(!place.recovers().await);
    }
    assert!(place.recovers().await, "the third probe succeeds");
    place.put("/a/link", "x").await.unwrap();
}

#[tokio::test]
async fn a_file_system_that_became_read_only_is_reported_and_recovers() {
    let place = Fixture::new(posix);
    place.put("/served", "served").await.unwrap();
    place.watch.fail(Call::Create, "a/link", Errno::ROFS, 1);
    let error = place.put("/a/link", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    place.takes_no_writes("mounted read-only; remount it writable", "/served").await;
    assert!(place.recovers().await);
    place.put("/a/link", "x").await.unwrap();
}

/// Whichever call fails: existing files remain, visible files are whole, and success means that the file
/// exists.
#[tokio::test]
async fn no_failing_call_leaves_a_partial_file() {
    let calls = [
        Call::Create,
        Call::MakeDirectory,
        Call::Rename,
        Call::SyncDirectory,
        Call::SyncFile,
        Call::Unlink,
        Call::Write,
    ];
    for call in calls {
        for errno in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
            for nth in 0..12 {
                let place = Fixture::new(posix);
                place.put("/a/link", "old").await.unwrap();
                place.stage("content").await;
                // The calls before it succeed.
                place.watch.fail_after(call, nth, errno);
                let linked = place.put("/a/link", "new").await;
                let made = place.put("/b/c/link", "made").await;
                let committed = place.commit().await;
                let deleted = place.driver.delete(&path("/a/link")).await;
                let content = |file: &str| {
                    let (driver, file) = (place.driver.clone(), path(file));
                    async move { driver.get_content_if_any(&file).await.unwrap() }
                };
                let said = format!("{call:?} {errno:?} {nth}: {linked:?} {made:?} {committed:?} {deleted:?}");
                match content("/a/link").await.as_deref() {
                    Some(b"old") => assert!(linked.is_err() && deleted.is_err(), "{said}"),
                    Some(b"new") => assert!(deleted.is_err(), "{said}"),
                    None => {}
                    _ => panic!("{said}"),
                }
                match content("/b/c/link").await.as_deref() {
                    Some(b"made") => {}
                    None => assert!(made.is_err(), "{said}"),
                    _ => panic!("{said}"),
                }
                match content("/blobs/x/data").await.as_deref() {
                    Some(b"content") => {}
                    None => assert!(committed.is_err(), "{said}"),
                    _ => panic!("{said}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_ends_a_walk_with_an_error() {
    let place = Fixture::new(posix);
    place.put("/a/file", "x").await.unwrap();
    place.put("/b/file", "x").await.unwrap();
    place.watch.fail(Call::ReadDirectory, "b", Errno::IO, 1);
    let walked: Result<Vec<_>, _> = place.driver.walk(&DriverPath::root(), None).try_collect().await;
    assert_eq!(walked.unwrap_err().kind(), ErrorKind::Other);
}

#[tokio::test]
async fn deletions_are_synced_once_for_each_directory_that_lost_an_entry() {
    let place = Fixture::new(posix);
    let files: Vec<DriverPath> =
        (0..50).map(|number| path(&format!("/r{}/l/{number}/link", number % 2))).collect();
    for file in &files {
        place.driver.put_content(file, Bytes::new(), PutMode::Transient).await.unwrap();
    }
    let results: Vec<_> =
        place.driver.delete_all(stream::iter(files.clone()).boxed(), Deadline::NONE).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    place.watch.syncs();
    place.driver.sync_deletions(&files).await.unwrap();
    assert_eq!(place.watch.syncs(), 2, "one for each of the two directories that held the others");

    place.watch.fail(Call::SyncDirectory, "r1", Errno::IO, 1);
    place.driver.sync_deletions(&files).await.unwrap_err();
    assert!(!place.recovers().await, "the next sync would say that they are gone");
}
