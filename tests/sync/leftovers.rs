//! Transfers that end early leave nothing in the store.

use std::path::{Path, PathBuf};

use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::oci::Digest;
use sampan_sync::{Running, run};
use tempfile::TempDir;

use super::support::{copy_of_app, failures, options};
use crate::cache::support::World;
use crate::support::hostile_server::{Gate, Seen};
use crate::support::image::noise;
use crate::support::upstream::error;

/// A registry over a filesystem, whose uploads a test can see.
async fn world() -> (World, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let rootdirectory = directory.path().to_owned();
    let config = FilesystemConfig { rootdirectory, ..FilesystemConfig::default() };
    let driver = config.build().await.unwrap();
    let world = World::with(|_, setup| setup.driver = driver).await;
    (world, directory)
}

/// The files below `path` that belong to uploads.
fn uploads(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(uploads(&path)),
            false if path.components().any(|part| part.as_os_str() == "_uploads") => found.push(path),
            false => {}
        }
    }
    found
}

fn is_blob(seen: &Seen, digest: &Digest) -> bool {
    seen.path().ends_with(&format!("/blobs/{digest}"))
}

/// Waits until a blob has begun to arrive.
async fn until_uploading(path: &Path) {
    while uploads(path).is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Each run of an image that always fails would leave its other blobs, until the disk is full.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_which_one_blob_fails_leaves_nothing_of_the_others() {
    let (world, directory) = world().await;
    let image = world.upstream.image("app", "1.0", &[&noise(300_000), b"lost"]);
    let [long, lost] = [image.blobs[1].clone(), image.blobs[2].clone()];
    let failing = Gate::new();
    let failed = failing.clone();
    world.upstream.script(move |seen, honest| match seen {
        seen if is_blob(seen, &long) => honest.stalling_after(100_000),
        seen if is_blob(seen, &lost) => error(404, "BLOB_UNKNOWN").behind(&failed),
        _ => honest,
    });
    let job = copy_of_app();
    let fail = async {
        until_uploading(directory.path()).await;
        failing.open_for_all();
    };
    let (report, ()) = tokio::join!(world.sync(&job), fail);
    assert!(failures(&report)[0].contains("does not have the blob"), "{report:?}");
    assert_eq!(uploads(directory.path()), Vec::<PathBuf>::new());
}

/// The window of a job may close each night within the same blob.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_within_a_blob_leaves_nothing_of_it() {
    let (world, directory) = world().await;
    let image = world.upstream.image("app", "1.0", &[&noise(300_000)]);
    world.upstream.script(move |seen, honest| match is_blob(seen, &image.blobs[1]) {
        true => honest.stalling_after(100_000),
        false => honest,
    });
    let (job, running) = (copy_of_app(), Running::default());
    let work = run(&job, &world.caches, &world.server.registry, options(), &running, &|_| {});
    let stop = async {
        until_uploading(directory.path()).await;
        running.stop("its window has closed".to_owned(), None);
    };
    tokio::join!(work, stop);
    assert_eq!(running.report().stopped.as_deref(), Some("its window has closed"));
    assert_eq!(running.now(), None);
    assert_eq!(uploads(directory.path()), Vec::<PathBuf>::new());
}
