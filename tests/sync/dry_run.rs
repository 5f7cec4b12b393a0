//! A dry run compares tags, and changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sampan_driver::{ErrorKind, Operation};
use sampan_engine::Limits;
use sampan_sync::RunOptions;

use super::support::{copy_of_app, entry, job, options};
use crate::cache::support::World;
use crate::support::failing_driver::Misbehaviour;
use crate::support::{FailingDriver, Server, Setup};

const DRY: RunOptions = RunOptions { dry_run: true, blobs_at_a_time: 3, max_manifest_bytes: 4 << 20 };

fn is_write(operation: Operation, _: &sampan_driver::DriverPath) -> bool {
    use Operation::{Delete, DeleteAll, DeleteTree, PutAll, PutContent, Rename, Writer};
    matches!(operation, PutContent | PutAll | Writer | Delete | DeleteAll | DeleteTree | Rename)
}

#[tokio::test]
async fn a_dry_run_tells_of_changes_and_reads_no_content() {
    for to in [Some("copy"), None] {
        let world = World::new().await;
        let same = world.upstream.image("app", "same", &[b"same"]);
        let old = world.upstream.image("app", "moved", &[b"old"]);
        let job = job(vec![entry("app", to)]);
        world.whole(&job).await;
        let moved = world.upstream.image("app", "moved", &[b"new"]);
        let new = world.upstream.image("app", "new", &[b"newer"]);
        let files = world.server.files().await;
        world.upstream.requests();
        let (report, changes) = world.sync_by(&job, DRY).await;
        assert!(report.is_whole(), "{report:?}");
        assert_eq!((report.copied, report.unchanged, report.blobs, report.bytes), (2, 1, 0, 0));
        let told: Vec<_> = changes.into_iter().map(|it| (it.tag.to_string(), it.from, it.to)).collect();
        let expected = [
            ("moved".to_owned(), Some(old.digest.clone()), moved.digest.clone()),
            ("new".to_owned(), None, new.digest.clone()),
        ];
        assert_eq!(told, expected);
        let mut asked = world.upstream.requests();
        asked.sort();
        let heads = ["moved", "new", "same"].map(|tag| format!("HEAD /v2/app/manifests/{tag}"));
        assert_eq!(asked[1..], heads, "{asked:?} {same:?}");
        assert_eq!(asked[0], "GET /v2/app/tags/list");
        assert_eq!(world.server.files().await, files);
    }
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_a_store_that_cannot_be_written_is_enough() {
    let driver = FailingDriver::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    world.upstream.image("app", "one", &[b"one"]);
    let mut pruning = copy_of_app();
    pruning.repositories[0].prune = true;
    world.whole(&pruning).await;
    world.upstream.image("app", "one", &[b"two"]);
    world.upstream.image("app", "three", &[b"three"]);
    driver.be(Misbehaviour::Counts(is_write, writes.clone()));
    let (report, changes) = world.sync_by(&pruning, DRY).await;
    assert!(report.is_whole() && changes.len() == 2, "{report:?}");
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    driver.behave();
    let readonly = Server::with(Setup {
        driver: Arc::new(driver),
        limits: Limits { read_only: true, ..Limits::default() },
        ..Setup::default()
    });
    let world = World { server: readonly, ..world };
    let (report, changes) = world.sync_by(&pruning, DRY).await;
    assert!(report.is_whole() && changes.len() == 2, "{report:?}");
    // A real run says why it cannot.
    let report = world.sync(&pruning).await;
    assert!(report.stopped.is_some() && report.copied == 0, "{report:?}");
}

#[tokio::test]
async fn a_dry_run_prunes_nothing() {
    let world = World::new().await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    let mut pruning = copy_of_app();
    pruning.repositories[0].prune = true;
    world.whole(&pruning).await;
    world.upstream.untag("app", "a");
    let (report, changes) = world.sync_by(&pruning, DRY).await;
    assert_eq!((report.removed_tags, changes.len(), report.unchanged), (0, 0, 2));
    assert!(world.tag("copy", "a").await.is_some());
}

/// A store that is full or fails is no fault of the images.
#[tokio::test]
async fn a_store_that_fails_stops_the_run() {
    let driver = FailingDriver::new();
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    driver.be(Misbehaviour::Fails(ErrorKind::Unavailable));
    let report = world.sync_by(&copy_of_app(), options()).await.0;
    assert!(report.stopped.is_some() && report.copied == 0, "{report:?}");
    driver.behave();
    driver.be(Misbehaviour::LosesStaged);
    let report = world.sync(&copy_of_app()).await;
    assert!(report.stopped.is_some() && report.copied == 0, "{report:?}");
    driver.behave();
    assert_eq!(world.whole(&copy_of_app()).await.copied, 3);
}
