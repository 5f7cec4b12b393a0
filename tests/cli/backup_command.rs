//! `registry backup`, by the built binary: snapshots of a directory in another.

use std::fs;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::support::StoreFiles;

/// Configurations of a store with two repositories, of the store of its backups, and of an empty one.
fn site() -> (tempfile::TempDir, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    for (name, root) in [("config", "data"), ("backup", "backups"), ("new", "new")] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n");
        fs::write(site.path().join(format!("{name}.yml")), text).unwrap();
    }
    let store = StoreFiles::new(&site.path().join("data"));
    for (repository, tag) in [("team/app", "v1"), ("team/app", "v2"), ("other", "v1")] {
        put(&store, repository, tag, tag);
    }
    (site, store)
}

fn put(store: &StoreFiles, repository: &str, tag: &str, content: &str) {
    let image = store.image(repository, content, &["shared".repeat(100), content.repeat(500)]);
    store.tag(repository, tag, &image);
}

fn backup(site: &Path, arguments: &str) -> Ended {
    end(binary(site).arg("backup").args(arguments.split_whitespace()), "")
}

fn json(site: &Path, arguments: &str) -> Value {
    let ended = backup(site, &format!("{arguments} --format json"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn time(snapshot: &Value) -> String {
    snapshot["snapshot"].as_str().unwrap().to_owned()
}

#[test]
fn a_store_comes_back_as_it_was_at_each_of_its_snapshots() {
    let (site, store) = site();
    let at = site.path();
    let first = backup(at, "run --to backup.yml config.yml");
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains("2 repositories, 3 tags and 3 manifests; copied 7 blobs"), "{first:?}");
    put(&store, "team/app", "v1", "another");
    fs::remove_dir_all(at.join("data/docker/registry/v2/repositories/other")).unwrap();
    let second = json(at, "run --to backup.yml config.yml");
    assert_eq!((&second["repositories"], &second["tags"]), (&1.into(), &2.into()));
    assert_eq!(second["pass"]["copied"]["blobs"], 3, "{second}");

    let listed = json(at, "list backup.yml");
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[1]["snapshot"], second["snapshot"]);
    let text = backup(at, "list backup.yml");
    let data = at.canonicalize().unwrap().join("data");
    assert!(text.stdout.contains(&format!("manifests\tfilesystem {}", data.display())), "{text:?}");

    let first = time(&listed[0]);
    let planned = json(at, &format!("restore --from backup.yml --at {first} --to new.yml --dry-run"));
    assert!(!at.join("new").exists(), "a dry run writes");
    let restored = json(at, &format!("restore --from backup.yml --at {first} --to new.yml"));
    assert_eq!(planned["pass"]["copied"]["blobs"], restored["pass"]["copied"]["blobs"]);
    let tags = end(binary(at).args(["ls", "--format", "json", "-c", "new.yml"]), "");
    assert!(tags.stdout.contains("other") && tags.stdout.contains("team/app"), "{tags:?}");

    // Over the store itself: what was deleted is back, and a tag that moved is pointed back if it is asked for.
    let refused = backup(at, &format!("restore --from backup.yml --at {first} --to config.yml"));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("1 of the snapshot's tags point at other images now, such as team/app:v1"),
        "{refused:?}"
    );
    let other =
        json(at, &format!("restore --from backup.yml --at {first} --to config.yml --repository other"));
    assert_eq!((&other["tags"], &other["replaced"]["count"]), (&1.into(), &0.into()));
    let all = backup(at, &format!("restore --from backup.yml --at {first} --to config.yml --replace"));
    assert_eq!(all.code, Some(0), "{all:?}");
    assert!(all.stdout.contains("pointed back: team/app:v1 (sha256:"), "{all:?}");
    assert_eq!(backup(at, "verify backup.yml").code, Some(0));
}

#[test]
fn snapshots_go_and_what_only_they_had() {
    let (site, store) = site();
    let at = site.path();
    for content in ["first", "second", "third"] {
        fs::remove_dir_all(at.join("data/docker/registry/v2/repositories/other")).unwrap();
        put(&store, "other", "v1", content);
        assert_eq!(backup(at, "run --to backup.yml config.yml --quiet").code, Some(0));
    }
    let none = backup(at, "prune backup.yml");
    assert!(none.code == Some(2) && none.stderr.contains("no snapshot would stay"), "{none:?}");
    let dry = backup(at, "prune --last 1 --daily 1 --grace 0 --dry-run backup.yml");
    assert!(dry.code == Some(0) && dry.stdout.contains("would delete 6 blobs"), "{dry:?}");
    assert_eq!(json(at, "list backup.yml").as_array().unwrap().len(), 3);
    let pruned = backup(at, "prune --last 1 --daily 1 --grace 0 backup.yml");
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    assert!(
        pruned.stdout.contains("stays (last, daily)\n") && pruned.stdout.contains("deleted 6 blobs"),
        "{pruned:?}"
    );
    assert_eq!(json(at, "list backup.yml").as_array().unwrap().len(), 1);
    let restored = json(at, "restore --from backup.yml --at latest --to new.yml");
    assert_eq!(restored["tags"], 3, "{restored}");
    assert_eq!(backup(at, "verify backup.yml").code, Some(0));
    // Blobs that cannot be seen are not gone, and no snapshot goes with them.
    let blobs = at.join("backups/docker/registry/v2/blobs");
    assert_eq!(backup(at, "run --to backup.yml config.yml --quiet").code, Some(0));
    fs::rename(&blobs, at.join("elsewhere")).unwrap();
    for more in ["", "--dry-run"] {
        let unseen = backup(at, &format!("prune --last 1 --grace 0 {more} backup.yml"));
        assert!(unseen.code == Some(1) && unseen.stderr.contains("mount what is missing"), "{unseen:?}");
    }
    assert_eq!(json(at, "list backup.yml").as_array().unwrap().len(), 2);
    fs::rename(at.join("elsewhere"), &blobs).unwrap();
    // A collection of the store of the backups keeps what the snapshots have.
    let collected =
        end(binary(at).args(["garbage-collect", "--delete-untagged", "--grace", "0", "backup.yml"]), "");
    assert_eq!(collected.code, Some(0), "{collected:?}");
    assert_eq!(backup(at, "verify backup.yml").code, Some(0));
}

#[test]
fn damage_to_the_backups_is_named_with_the_snapshots_it_hurts() {
    let (site, store) = site();
    let at = site.path();
    let snapshot = time(&json(at, "run --to backup.yml config.yml"));
    let layer = Digest::sha256_of("v2".repeat(500).as_bytes());
    let data = Entry::Blob(layer.clone()).path();
    fs::write(at.join("backups").join(data.as_str().trim_start_matches('/')), "v".repeat(1000)).unwrap();
    assert_eq!(backup(at, "verify --quick backup.yml").code, Some(0), "no layer is hashed");
    let found = backup(at, "verify backup.yml");
    assert_eq!(found.code, Some(3), "{found:?}");
    for part in
        [layer.hex().to_owned(), format!("{snapshot}\tlacks something in 1 manifest"), "team/app".to_owned()]
    {
        assert!(found.stdout.contains(&part), "{part}: {found:?}");
    }
    let restored = backup(at, "restore --from backup.yml --at latest --to new.yml");
    assert_eq!(restored.code, Some(3), "{restored:?}");
    assert!(restored.stdout.contains(&format!("{layer}: its content hashes to")), "{restored:?}");
    let heal = "verify --repair --since-start --heal-from config.yml --progress none backup.yml";
    let healed = end(binary(at).args(heal.split(' ')), "");
    assert_eq!(healed.code, Some(0), "{healed:?}");
    assert_eq!(backup(at, "restore --from backup.yml --at latest --to new.yml").code, Some(0));

    let path = store.path(&Entry::BackupOf);
    assert!(!path.exists(), "the saved store is marked");
    let mut files = fs::read_dir(at.join("backups/docker/registry/sampan/snapshots")).unwrap();
    // Beside the snapshot is the name of the store that it is of.
    let file = files.find_map(|file| file.ok().filter(|file| file.file_name() != "of")).unwrap();
    fs::write(file.path(), &fs::read(file.path()).unwrap()[..60]).unwrap();
    let listed = backup(at, "list backup.yml");
    assert!(listed.code == Some(3) && listed.stdout.contains("\tis damaged: "), "{listed:?}");
    for refused in [
        backup(at, "restore --from backup.yml --at latest --to new.yml"),
        backup(at, "prune --last 1 backup.yml"),
        end(binary(at).args(["garbage-collect", "--delete-untagged", "backup.yml"]), ""),
    ] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("delete the file if it cannot be mended"), "{refused:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let (site, _) = site();
    let at = site.path();
    fs::write(at.join("memory.yml"), "version: 0.1\nstorage: {inmemory: {}}\n").unwrap();
    for (code, arguments, problem) in [
        (1, "run --to config.yml config.yml", "the same store"),
        (1, "run --to memory.yml config.yml", "memory.yml: the in-memory store"),
        (1, "run --to new.yml memory.yml", "memory.yml: the in-memory store"),
        (1, "run --to missing.yml config.yml", "missing.yml"),
        (1, "run --to new.yml config.yml --repository tema/**", "no such repository: tema/**"),
        (2, "run --to new.yml config.yml --repository team/app:v1", "only repositories can be saved"),
        (2, "run --to new.yml config.yml --rate 0", "nothing is ever copied"),
        (2, "run config.yml", "--to"),
        (1, "prune --last 1 config.yml", "holds no backups"),
        (1, "verify config.yml", "holds no backups"),
        (1, "restore --from config.yml --at latest --to new.yml", "there is no snapshot in this store"),
        (2, "restore --from config.yml --at 2026-01-31 --to new.yml", "registry backup list"),
        (2, "restore --from config.yml --at 2026-13-01T00:00:00Z --to new.yml", "registry backup list"),
        (2, "restore --from config.yml --to new.yml", "--at"),
        (2, "prune --last few config.yml", "invalid value"),
    ] {
        let ended = backup(at, arguments);
        assert_eq!(ended.code, Some(code), "{arguments}: {ended:?}");
        assert!(ended.stderr.contains(problem), "{arguments}: {ended:?}");
    }
    assert_eq!(backup(at, "run --to backup.yml config.yml").code, Some(0));
    let early = backup(at, "restore --from backup.yml --at 2020-01-01T00:00:00Z --to new.yml");
    assert!(
        early.stderr.contains("no snapshot of 2020-01-01T00:00:00Z or before; the first is of"),
        "{early:?}"
    );
    let nothing = backup(at, "restore --from backup.yml --at latest --to new.yml --repository tema/**");
    assert!(nothing.stderr.contains("no such repository: tema/** in the snapshot of"), "{nothing:?}");
    fs::rename(at.join("data"), at.join("elsewhere")).unwrap();
    let text = fs::read_to_string(at.join("config.yml")).unwrap().replace("data", "elsewhere");
    fs::write(at.join("config.yml"), text).unwrap();
    let moved = backup(at, "run --to backup.yml config.yml");
    assert!(moved.code == Some(1) && moved.stderr.contains("--source-moved"), "{moved:?}");
    assert_eq!(backup(at, "run --to backup.yml config.yml --source-moved").code, Some(0));
}
