//! `registry garbage-collect`, and the registry that collects by itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sampan_engine::UploadId;
use sampan_engine::gc::UNASKED_BYTES;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::clients::support::{Process, filesystem_config, registry};
use crate::support::StoreFiles;

/// A store with an image, and an hour-old blob that nothing refers to.
pub(super) fn store(directory: &Path, more: &str) -> (StoreFiles, Digest) {
    let root = directory.join("data");
    let store = StoreFiles::new(&root);
    let image = store.image("app", "one", &["layer".to_owned()]);
    store.tag("app", "v1", &image);
    let garbage = store.blob("garbage");
    let config = filesystem_config(&root).replace("  delete:", &format!("{more}  delete:"));
    fs::write(directory.join("config.yml"), config).unwrap();
    (store, garbage)
}

pub(super) const READ_ONLY: &str = "  maintenance: {readonly: {enabled: true}}\n";

pub(super) fn collect(directory: &Path, args: &[&str]) -> Ended {
    end(binary(directory).arg("garbage-collect").args(args).arg("config.yml"), "")
}

#[test]
fn a_signal_ends_a_collection_and_gives_its_lock_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), "");
    let notices = || {
        let files = store.files().into_iter();
        files.filter(|file| file.contains("/gc/run-") || file.contains("/gc/doomed-")).collect::<Vec<_>>()
    };
    for signal in ["INT", "TERM"] {
        let arguments = ["garbage-collect", "--grace", "1m", "config.yml"];
        let mut process = Process::start(binary(directory.path()).args(arguments));
        // It waits some seconds for registries to notice it.
        while notices().is_empty() {
            std::thread::yield_now();
        }
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(1), "{signal}: {}", process.log());
        process.wait_to_say("the collection has ended before all garbage was deleted");
        assert_eq!(notices(), [""; 0], "{signal}");
        assert!(store.has(&Entry::Blob(garbage.clone())), "{signal}");
    }
    // The next one need not wait.
    let next = collect(directory.path(), &["--grace", "0"]);
    assert!(next.code == Some(0) && !store.has(&Entry::Blob(garbage)), "{next:?}");
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
        let summary = format!(
            "7 B {verb}: 1 blob, 0 manifests, 0 layer links, 0 uploads, 0 temporary files, 0 empty repositories"
        );
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
    let told = "kept 1 blob (7 B) without references: nothing younger than 24h is collected";
    assert!(ended.stderr.contains(told) && ended.stderr.contains("pass `--grace 0`"), "{ended:?}");
    assert!(store.has(&Entry::Blob(garbage.clone())));

    let configured = fs::read_to_string(directory.path().join("config.yml")).unwrap();
    let configured = configured.replace("storage:", "gc: {grace: 30m}\nstorage:");
    fs::write(directory.path().join("config.yml"), configured).unwrap();
    let ended = collect(directory.path(), &[]);
    assert!(!ended.stderr.contains("younger"), "the report names what is young, and nothing is: {ended:?}");
    assert!(!store.has(&Entry::Blob(garbage)));

    let young = store.path(&Entry::Blob(store.blob("young")));
    fs::write(&young, "young").unwrap();
    let ended = collect(directory.path(), &["--grace", "1h"]);
    assert!(ended.stderr.contains("A collection in 1h removes them"), "{ended:?}");
    assert!(young.exists());
    let ended = collect(directory.path(), &["--grace", "0"]);
    assert_eq!((ended.code, young.exists()), (Some(0), false), "{ended:?}");
}

#[test]
fn the_digest_beside_a_tag_goes_when_the_tag_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let (name, sha512) = ("app".parse().unwrap(), Digest::of(Algorithm::Sha512, b"of another manifest"));
    let beside = |tag: &str| Entry::TagDigest(Clone::clone(&name), tag.parse().unwrap());
    for tag in ["v1", "gone", "v1.gone"] {
        store.write(&beside(tag), sha512.to_string());
    }
    fs::write(store.path(&beside("young")), sha512.to_string()).unwrap();
    let ended = collect(directory.path(), &["--grace", "30m"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = ["v1", "gone", "v1.gone", "young"].map(|tag| store.has(&beside(tag)));
    assert_eq!(left, [true, false, false, true], "{ended:?}");
    assert!(ended.stdout.contains("2 temporary files"), "{ended:?}");
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
    assert!(ended.stderr.contains("kept 1 unreadable file"), "{ended:?}");
    assert!(store.has(&Entry::Blob(kept)) && !store.has(&Entry::Blob(garbage)));
}

/// A repository on another disk, which is reached by a link, and is not mounted.
#[test]
fn what_may_be_behind_a_link_to_nothing_is_kept_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), READ_ONLY);
    let image = store.image("team/app", "two", &["other".to_owned()]);
    store.tag("team/app", "v1", &image);
    let data = directory.path().join("data");
    let (team, disk) = (data.join("docker/registry/v2/repositories/team"), data.join("disk2"));
    fs::create_dir(&disk).unwrap();
    fs::rename(&team, disk.join("team")).unwrap();
    symlink("../../../../disk2/team", &team).unwrap();
    let all = store.data();
    fs::rename(&disk, data.join("not-mounted")).unwrap();
    for args in [&["--dry-run"][..], &[], &["--yes"]] {
        let ended = collect(directory.path(), args);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let place = "kept with all it may refer to: /docker/registry/v2/repositories/team";
        assert!(ended.stdout.contains(place), "{ended:?}");
        assert!(ended.stdout.contains("0 blobs and 0 manifests eligible"), "{ended:?}");
        assert!(ended.stderr.contains("1 place of the store cannot be read"), "{ended:?}");
        assert_eq!(store.data(), all);
    }
    fs::rename(data.join("not-mounted"), &disk).unwrap();
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!store.has(&Entry::Blob(garbage)) && store.has(&Entry::Blob(image)));
}

/// The same for data: a manifest that is not seen refers to something all the same.
#[test]
fn what_a_manifest_behind_a_link_to_nothing_refers_to_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let shards = directory.path().join("data/docker/registry/v2/blobs/sha256");
    fs::rename(&shards, directory.path().join("data/disk2")).unwrap();
    symlink("../../../../not-mounted", &shards).unwrap();
    let links = store.entries();
    for args in [&["--dry-run"][..], &[]] {
        let ended = collect(directory.path(), args);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let after: Vec<Entry> = store.entries();
        assert!(links.iter().all(|entry| after.contains(entry)), "{ended:?}");
    }
}

/// As a mount point is without its disk.
#[test]
fn repositories_that_vanished_are_not_taken_for_deleted_until_that_is_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let image = store.image("team/app", "two", &["other".to_owned()]);
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
    let all = store.data();
    let team = directory.path().join("data/docker/registry/v2/repositories/team");
    let away = directory.path().join("away");
    fs::rename(&team, &away).unwrap();
    for is_mount_point in [false, true] {
        if is_mount_point {
            fs::create_dir(&team).unwrap();
        }
        for args in [&["--dry-run"][..], &[], &[]] {
            let ended = collect(directory.path(), args);
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let reason = "repositories/team: the last collection found 1 repositories here";
            assert!(ended.stdout.contains(reason), "{ended:?}");
            assert_eq!(store.data(), all);
        }
    }
    fs::remove_dir(&team).unwrap();
    fs::rename(&away, &team).unwrap();
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
    fs::remove_dir_all(&team).unwrap();
    assert_eq!(collect(directory.path(), &["--yes"]).code, Some(0));
    assert!(!store.has(&Entry::Blob(image)));
    assert_eq!(collect(directory.path(), &[]).code, Some(0), "it is known to be gone");
}

/// A push that has begun stays, and is no repository.
#[test]
fn a_repository_that_a_collection_emptied_has_not_vanished() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let image = store.image("team/app", "two", &["other".to_owned()]);
    let id: UploadId = "0190a1b2-0000-4000-8000-000000000000".parse().unwrap();
    store.write(&Entry::UploadStartedAt("team/app".parse().unwrap(), id), "2030-01-01T00:00:00Z");
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
    assert!(store.has(&Entry::Blob(image.clone())));
    fs::remove_file(store.path(&Entry::RevisionLink("team/app".parse().unwrap(), image.clone()))).unwrap();
    for _ in 0..2 {
        let ended = collect(directory.path(), &[]);
        assert_eq!((ended.code, store.has(&Entry::Blob(image.clone()))), (Some(0), false), "{ended:?}");
    }
}

#[test]
fn most_of_a_store_goes_only_when_that_is_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let large = |letter: &str| letter.repeat(usize::try_from(UNASKED_BYTES).unwrap());
    let garbage = store.blob(large("x"));
    let ended = collect(directory.path(), &["--dry-run"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("without --dry-run nothing is deleted"), "{ended:?}");
    let all = store.entries();
    let ended = collect(directory.path(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("more than 50 % of all") && ended.stderr.contains("--yes"), "{ended:?}");
    assert_eq!(store.entries(), all, "neither data nor a lease");

    // As much again that stays makes it half.
    let image = store.image("app", "two", &[large("y")]);
    assert_eq!(collect(directory.path(), &[]).code, Some(0));
    assert!(!store.has(&Entry::Blob(garbage)) && store.has(&Entry::Blob(image)));

    for (args, setting) in [(&["--yes"][..], "  gc: {grace: 1h}\n"), (&[], "  gc: {maxdeletepercent: 100}\n")]
    {
        let garbage = store.blob(large("z").repeat(2));
        assert_eq!(collect(directory.path(), &[]).code, Some(1));
        let config = fs::read_to_string(directory.path().join("config.yml")).unwrap();
        let changed = config.replace("  delete:", &format!("{setting}  delete:"));
        fs::write(directory.path().join("config.yml"), changed).unwrap();
        assert_eq!(collect(directory.path(), args).code, Some(0));
        assert!(!store.has(&Entry::Blob(garbage)));
        fs::write(directory.path().join("config.yml"), config).unwrap();
    }
}

#[test]
fn a_date_in_the_future_is_told_and_keeps_nothing_without_a_grace() {
    let directory = tempfile::tempdir().unwrap();
    let (store, garbage) = store(directory.path(), "  gc: {grace: 30m}\n");
    let path = store.path(&Entry::Blob(garbage.clone()));
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10 * 365 * 24 * 3600)).unwrap();
    for args in [&["--dry-run"][..], &[]] {
        let ended = collect(directory.path(), args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told = format!(
            "1 file with modification times in the future, the first is {}",
            Entry::Blob(garbage.clone()).path()
        );
        assert!(ended.stderr.contains(&told), "{ended:?}");
        assert!(path.exists());
    }
    let ended = collect(directory.path(), &["--grace", "0"]);
    assert_eq!((ended.code, path.exists()), (Some(0), false), "{ended:?}");
}

/// A volume that is mounted one level off, or not at all, looks like a registry in which nothing is left.
#[test]
fn a_directory_without_a_store_is_refused_with_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path(), "");
    let config = fs::read_to_string(directory.path().join("config.yml")).unwrap();
    let root = directory.path().join("data");
    for (wrong, expected) in [
        ("data/docker", format!("the store is in {}: set rootdirectory", root.display())),
        ("nowhere", "the directory is not there".to_owned()),
    ] {
        let changed = config.replace("/data}", &format!("/{wrong}}}"));
        assert_ne!(changed, config);
        fs::write(directory.path().join("config.yml"), changed).unwrap();
        for args in [&["--dry-run"][..], &[]] {
            let ended = collect(directory.path(), args);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains(&expected), "{ended:?}");
        }
        assert!(!directory.path().join("nowhere").exists());
    }
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
    let gc = "gc: {enabled: true, interval: 0s, grace: 1m}\nstorage:";
    let mut served = registry(directory.path(), &filesystem_config(&root).replace("storage:", gc));
    let line = served.process.wait_for(|line| line.contains("collected garbage").then(|| line.to_owned()));
    assert!(line.contains("1 blobs, 0 manifests") && line.contains("bytes=7"), "{line}");
    assert!(!store.has(&Entry::Blob(garbage)));
    assert!(store.has(&Entry::CollectionLast));
    // The next one is running, or about to.
    served.process.signal("TERM");
    served.process.wait_for(|line| line.contains("msg=stopped").then_some(()));
    assert!(served.process.wait().success());
    assert!(!is_being_collected(&store));
}

#[test]
fn a_read_only_registry_collects_nothing_until_it_is_one_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let store = StoreFiles::new(&root);
    store.blob("garbage");
    let gc =
        "gc: {enabled: true, interval: 0s, grace: 1m}\nstorage:\n  maintenance: {readonly: {enabled: true}}";
    let config = filesystem_config(&root).replace("storage:", gc);
    let served = registry(directory.path(), &config);
    assert!(!is_being_collected(&store));
    fs::write(
        directory.path().join("sampan.yml"),
        config.replace("readonly: {enabled: true}", "readonly: {enabled: false}"),
    )
    .unwrap();
    served.process.signal("HUP");
    served.process.wait_for(|line| line.contains("collected garbage").then_some(()));
    assert_eq!(store.data().len(), 0);
}

/// Whether there is anything of a run of a collector.
fn is_being_collected(store: &StoreFiles) -> bool {
    let files = store.files();
    files.iter().any(|file| file.contains("/sampan/gc/run") || file.contains("/sampan/gc/doomed"))
}
