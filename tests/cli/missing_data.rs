//! `registry garbage-collect` over a store of which a part cannot be seen: data, and records of removed tags.

use std::fs;
use std::os::unix::fs::symlink;

use sampan_engine::layout::Entry;

use super::garbage_collect::{READ_ONLY, collect, store};

/// As when the data are on a volume of their own that is not mounted.
#[test]
fn links_and_records_stay_while_the_data_cannot_be_seen() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
    let blobs = directory.path().join("data/docker/registry/v2/blobs");
    let away = directory.path().join("away");
    fs::rename(&blobs, &away).unwrap();
    let before = store.entries();
    for is_mount_point in [false, true] {
        if is_mount_point {
            fs::create_dir(&blobs).unwrap();
        }
        for args in [&["--dry-run"][..], &[], &["--delete-untagged"]] {
            let ended = collect(directory.path(), args);
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let reason =
                "v2/blobs: the content of 1 of 1 linked manifests is not here; mount what is missing";
            assert!(ended.stdout.contains(reason), "{ended:?}");
            assert_eq!(store.entries(), before);
        }
    }
    fs::remove_dir(&blobs).unwrap();
    fs::rename(&away, &blobs).unwrap();
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
}

/// Records of removed tags never keep a collection from its work, nor one repository's those of another.
#[test]
fn a_record_that_cannot_be_read_does_not_keep_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (store, image) = store(directory.path(), READ_ONLY);
    let record =
        |name: &str| Entry::RemovedTag(name.parse().unwrap(), "v1".parse().unwrap(), 1, image.clone());
    for name in ["a", "b/c", "d"] {
        store.write(&record(name), "{}");
    }
    let tags = store.path(&record("b/c")).parent().unwrap().to_owned();
    fs::remove_dir_all(&tags).unwrap();
    symlink("../../not-mounted", &tags).unwrap();
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!store.has(&record("a")) && !store.has(&record("d")), "{ended:?}");
    let left = fs::read_dir(directory.path().join("data/docker/registry/sampan/removed")).unwrap();
    assert_eq!(left.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["b"]);
}
