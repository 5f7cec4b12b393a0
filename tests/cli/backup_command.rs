//! `registry backup`, by the built binary: snapshots of a directory in another.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::support::{Ended, binary, end, expect};
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
    let backups = at.canonicalize().unwrap().join("backups");
    let begun = format!("began a new store of backups: filesystem {}\n", backups.display());
    assert!(first.stdout.starts_with(&begun), "{first:?}");
    put(&store, "team/app", "v1", "another");
    fs::remove_dir_all(at.join("data/docker/registry/v2/repositories/other")).unwrap();
    let second = json(at, "run --to backup.yml --yes config.yml");
    assert_eq!(second["new_store"], false);
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
    let mistyped = backup(at, "prune --last 1 new.yml");
    assert!(mistyped.code == Some(1) && mistyped.stderr.contains("there is no store in"), "{mistyped:?}");
    assert!(!at.join("new").exists());
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
        assert!(unseen.code == Some(1) && unseen.stderr.contains("mount the missing part"), "{unseen:?}");
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
    assert!(found.stderr.contains("`registry verify --repair --heal-from` repairs"), "{found:?}");
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
    let verified = backup(at, "verify --quick backup.yml");
    assert_eq!(verified.code, Some(3), "{verified:?}");
    assert!(verified.stderr.contains("another copy of a damaged snapshot"), "{verified:?}");
    assert!(!verified.stderr.contains("--heal-from"), "no other store has it: {verified:?}");
    for refused in [
        backup(at, "restore --from backup.yml --at latest --to new.yml"),
        backup(at, "prune --last 1 backup.yml"),
        end(binary(at).args(["garbage-collect", "--delete-untagged", "backup.yml"]), ""),
    ] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("delete the file if it cannot be repaired"), "{refused:?}");
    }
}

#[test]
fn a_part_that_has_vanished_is_named_until_it_is_back_or_confirmed() {
    let (site, store) = site();
    let at = site.path();
    let repositories = at.join("data/docker/registry/v2/repositories");
    assert_eq!(json(at, "run --to backup.yml config.yml")["new_store"], true);
    // Nothing is mounted there.
    fs::rename(repositories.join("team"), at.join("team")).unwrap();
    for mounted in [false, true] {
        if mounted {
            fs::create_dir(repositories.join("team")).unwrap();
        }
        let run = backup(at, "run --to backup.yml config.yml");
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.contains("the store shows nothing of team, but"), "{run:?}");
        assert!(run.stdout.contains("snapshot "), "{run:?}");
    }
    fs::remove_dir(repositories.join("team")).unwrap();
    fs::rename(at.join("team"), repositories.join("team")).unwrap();
    assert_eq!(backup(at, "run --to backup.yml config.yml").code, Some(0), "it is back");
    // What clients delete leaves directories.
    let image = store.image("other", "v1", &["shared".repeat(100), "v1".repeat(500)]);
    for entry in [
        Entry::TagCurrent("other".parse().unwrap(), "v1".parse().unwrap()),
        Entry::RevisionLink("other".parse().unwrap(), image.clone()),
    ] {
        fs::remove_file(store.path(&entry)).unwrap();
    }
    assert_eq!(backup(at, "run --to backup.yml config.yml").code, Some(0), "clients have deleted it");
    fs::remove_dir_all(repositories.join("team")).unwrap();
    for (arguments, code) in [("", 3), ("--yes", 0), ("", 0)] {
        let run = backup(at, &format!("run --to backup.yml config.yml {arguments}"));
        assert_eq!(run.code, Some(code), "{arguments}: {run:?}");
    }
}

#[test]
fn a_restore_of_everything_passes_over_a_snapshot_of_some_repositories() {
    let (site, _store) = site();
    let at = site.path();
    let full = time(&json(at, "run --to backup.yml config.yml"));
    let part = time(&json(at, "run --to backup.yml config.yml --repository team/**"));
    let listed = backup(at, "list backup.yml");
    assert!(listed.stdout.contains("(a part: team/**)\n"), "{listed:?}");
    let restored = backup(at, "restore --from backup.yml --at latest --to new.yml");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.stdout.contains(&format!("snapshot {full}: 2 repositories")), "{restored:?}");
    let warning = format!("the snapshot of {part} has only some repositories; the one of {full} is restored");
    assert!(restored.stderr.contains(&warning), "{restored:?}");
    let named = backup(at, &format!("restore --from backup.yml --at {part} --to new.yml"));
    assert!(named.stdout.contains(&format!("snapshot {part}: 1 repository")), "{named:?}");
    let pruned = backup(at, "prune --last 1 --grace 0 backup.yml");
    assert_eq!(json(at, "list backup.yml").as_array().unwrap().len(), 2, "{pruned:?}");
}

/// Ctrl-C gives the lock back, leaves no half of a blob, and ends threads that wait.
#[test]
fn what_is_interrupted_cleans_up() {
    let (site, _store) = site();
    let at = site.path();
    assert_eq!(backup(at, "run --to backup.yml config.yml --quiet").code, Some(0));
    for arguments in [
        "verify --rate 1 backup.yml",
        "run --rate 1 --to other.yml config.yml",
        "restore --rate 1 --from backup.yml --at latest --to new.yml",
        "prune --last 1 backup.yml",
    ] {
        let text = "version: 0.1\nstorage:\n  filesystem: {rootdirectory: other}\n";
        fs::write(at.join("other.yml"), text).unwrap();
        let mut command = binary(at);
        command.arg("backup").args(arguments.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let id = child.id();
        // Only then does the command hear of the signal.
        while child.try_wait().unwrap().is_none() && !catches_interrupts(id) {
            std::thread::yield_now();
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments}: {stderr}");
        assert!(stderr.contains("stopped") || stderr.contains("interrupted"), "{arguments}: {stderr}");
    }
    for store in ["backups", "new", "other"] {
        for left in ["docker/registry/sampan/gc", "docker/registry/sampan/migration/staged"] {
            let entries = fs::read_dir(at.join(store).join(left)).into_iter().flatten();
            let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            let names: Vec<_> =
                names.into_iter().filter(|name| !name.to_string_lossy().starts_with("last")).collect();
            assert!(names.is_empty(), "{store}/{left}: {names:?}");
        }
    }
}

/// Whether the process has a handler for SIGINT.
fn catches_interrupts(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & 0b10 != 0)
}

#[test]
fn nothing_is_written_to_a_store_that_a_migration_fills_or_that_was_moved() {
    let (site, _) = site();
    let at = site.path();
    for (name, root, more) in
        [("moved", "moved", ""), ("read-only", "backups", "maintenance: {readonly: {enabled: true}}")]
    {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n  {more}\n");
        fs::write(at.join(format!("{name}.yml")), text).unwrap();
    }
    let run = |to: &str| backup(at, &format!("run --to {to} config.yml"));
    assert_eq!(run("backup.yml").code, Some(0));
    expect(at, 0, &["migrate", "--from", "backup.yml", "--to", "moved.yml", "--watch"]);
    let restore = |to: &str| backup(at, &format!("restore --from backup.yml --at latest --to {to}"));
    for refused in [run("moved.yml"), restore("moved.yml")] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for part in ["a migration from ", "finish the migration first", "/migration/"] {
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
    }
    expect(at, 0, &["migrate", "--from", "read-only.yml", "--to", "moved.yml", "--finish"]);
    for refused in [run("backup.yml"), backup(at, "restore --from moved.yml --at latest --to backup.yml")] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("was moved to filesystem"), "{refused:?}");
    }
    assert_eq!(run("moved.yml").code, Some(0), "the backups continue where they were moved");
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
