//! `registry garbage-collect`, and the registry that collects by itself.

use std::fs;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::clients::support::{filesystem_config, registry};
use crate::support::StoreFiles;

/// A store with an image, and an hour-old blob that nothing refers to.
fn store(directory: &Path, more: &str) -> (StoreFiles, Digest) {
    let root = directory.join("data");
    let store = StoreFiles::new(&root);
    let image = store.image("app", "one", &["layer".to_owned()]);
    store.tag("app", "v1", &image);
    let garbage = store.blob("garbage");
    let config = filesystem_config(&root).replace("  delete:", &format!("{more}  delete:"));
    fs::write(directory.join("config.yml"), config).unwrap();
    (store, garbage)
}

const READ_ONLY: &str = "  maintenance: {readonly: {enabled: true}}\n";

fn collect(directory: &Path, args: &[&str]) -> Ended {
    end(binary(directory).arg("garbage-collect").args(args).arg("config.yml"), "")
}

#[test]
fn what_is_found_is_told_in_distributions_lines_and_a_summary() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), READ_ONLY);
    for (args, verb) in [(&["--dry-run"][..], "would be freed"), (&[], "freed")] {
        let ended = collect(directory.path(), args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(lines[0], "app");
        assert!(
            lines[1].starts_with("app: marking manifest sha256:") && lines[1].ends_with(' '),
            "{lines:?}"
        );
        assert_eq!(lines.iter().filter(|line| line.starts_with("app: marking blob sha256:")).count(), 2);
        assert!(
            lines.contains(&"3 blobs marked, 1 blobs and 0 manifests eligible for deletion"),
            "{lines:?}"
        );
        assert!(lines.contains(&&*format!("blob eligible for deletion: {garbage}")), "{lines:?}");
        let summary =
            format!("7 bytes {verb}: 1 blobs, 0 manifests, 0 layer links, 0 uploads, 0 temporary files");
        assert!(lines.last().unwrap().starts_with(&summary), "{lines:?}");
        assert_eq!(store.has(&Entry::Blob(garbage.clone())), args == ["--dry-run"]);
    }
    assert_eq!(store.data().len(), 3);
}

#[test]
fn scripts_get_one_json_document_or_nothing_at_all() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path(), READ_ONLY);
    let ended = collect(directory.path(), &["-d", "--format", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["blobs"], serde_json::json!({ "count": 1, "bytes": 7 }));
    assert_eq!((&report["dry_run"], &report["marked"]), (&Value::Bool(true), &3.into()));
    assert!(report["duration_secs"].as_f64().unwrap() > 0.0);
    let ended = collect(directory.path(), &["--delete-untagged=true", "-q"]);
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""), "{ended:?}");
}

#[test]
fn what_is_young_stays_unless_the_registry_is_read_only_or_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), "");
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("nothing younger than 24h is collected"), "{ended:?}");
    assert!(store.has(&Entry::Blob(garbage.clone())));

    let configured = fs::read_to_string(directory.path().join("config.yml")).unwrap();
    let configured = configured.replace("  delete:", "  gc: {grace: 30m}\n  delete:");
    fs::write(directory.path().join("config.yml"), configured).unwrap();
    let ended = collect(directory.path(), &[]);
    assert!(ended.stderr.contains("nothing younger than 30m is collected"), "{ended:?}");
    assert!(!store.has(&Entry::Blob(garbage)));

    let young = store.path(&Entry::Blob(store.blob("young")));
    fs::write(&young, "young").unwrap();
    collect(directory.path(), &[]);
    assert!(young.exists());
    let ended = collect(directory.path(), &["--grace", "0"]);
    assert_eq!((ended.code, young.exists()), (Some(0), false), "{ended:?}");
}

#[test]
fn what_cannot_be_read_is_kept_and_told_and_the_rest_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), READ_ONLY);
    let broken = store.image("broken", "two", &["other".to_owned()]);
    store.write(&Entry::Blob(broken.clone()), "damaged");
    let kept = store.layer("broken", "perhaps it was in there");
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let path = Entry::Blob(broken).path();
    assert!(ended.stdout.contains(&format!("kept with all it may refer to: {path}")), "{ended:?}");
    assert!(ended.stderr.contains("1 files could not be read"), "{ended:?}");
    assert!(store.has(&Entry::Blob(kept)) && !store.has(&Entry::Blob(garbage)));
}

#[test]
fn a_store_that_cannot_be_opened_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path(), READ_ONLY);
    let config = fs::read_to_string(directory.path().join("config.yml")).unwrap();
    fs::write(directory.path().join("file"), "in the way").unwrap();
    fs::write(directory.path().join("config.yml"), config.replace("/data}", "/file}")).unwrap();
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("file"), "{ended:?}");
}

#[test]
fn a_running_registry_collects_by_itself_and_stops_when_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let store = StoreFiles::new(&root);
    let garbage = store.blob("garbage");
    let gc = "  gc: {enabled: true, interval: 0s, grace: 1m}\n  delete:";
    let mut served = registry(directory.path(), &filesystem_config(&root).replace("  delete:", gc));
    let line = served.process.wait_for(|line| line.contains("collected garbage").then(|| line.to_owned()));
    assert!(line.contains("1 blobs, 0 manifests") && line.contains("bytes=7"), "{line}");
    assert!(!store.has(&Entry::Blob(garbage)));
    assert!(store.has(&Entry::CollectionLast));
    // The next one is going on, or about to.
    served.process.signal("TERM");
    served.process.wait_for(|line| line.contains("msg=stopped").then_some(()));
    assert!(served.process.wait().success());
    assert!(!store.has(&Entry::CollectionRun) && !store.has(&Entry::CollectionDoomed));
}

#[test]
fn a_read_only_registry_collects_nothing_until_it_is_one_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let store = StoreFiles::new(&root);
    store.blob("garbage");
    let gc = "  gc: {enabled: true, interval: 0s, grace: 1m}\n  maintenance: {readonly: {enabled: true}}\n  delete:";
    let config = filesystem_config(&root).replace("  delete:", gc);
    let served = registry(directory.path(), &config);
    assert!(!store.has(&Entry::CollectionRun));
    fs::write(
        directory.path().join("sampan.yml"),
        config.replace("readonly: {enabled: true}", "readonly: {enabled: false}"),
    )
    .unwrap();
    served.process.signal("HUP");
    served.process.wait_for(|line| line.contains("collected garbage").then_some(()));
    assert_eq!(store.data().len(), 0);
}
