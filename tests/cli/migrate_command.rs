//! `registry migrate`, by the built binary: a directory is moved to another.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sampan_driver::{DriverConfig, StorageDriver};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::Registry;
use sampan_engine::layout::Entry;
use sampan_engine::migrate::{Migration, Options};
use serde_json::Value;

use super::support::{Ended, binary, end, expect};
use crate::support::StoreFiles;

/// Three configurations: of the store, of the same while it is read-only, and of an empty one.
fn site() -> (tempfile::TempDir, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    let read_only = "maintenance: {readonly: {enabled: true}}";
    for (name, root, more) in [("a", "old", ""), ("read-only", "old", read_only), ("b", "new", "")] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n  {more}\n");
        fs::write(site.path().join(format!("{name}.yml")), text).unwrap();
    }
    let store = StoreFiles::new(&site.path().join("old"));
    for (repository, tag) in [("team/app", "v1"), ("team/app", "v2"), ("other", "v1")] {
        let image = store.image(repository, tag, &["shared".repeat(100), tag.repeat(50_000)]);
        store.tag(repository, tag, &image);
    }
    (site, store)
}

fn migrate(site: &Path, arguments: &str) -> Ended {
    end(binary(site).arg("migrate").args(arguments.split(' ')), "")
}

#[test]
fn a_store_is_moved_while_tags_move() {
    let (site, store) = site();
    let at = site.path();
    let planned = expect(at, 0, &["migrate", "--from", "a.yml", "--to", "b.yml", "--dry-run"]);
    assert!(planned.stdout.contains("would copy 7 blobs"), "{planned:?}");
    assert!(!at.join("new").exists(), "a dry run writes");
    let first = migrate(at, "--from a.yml --to b.yml --watch --rate 1GiB/s");
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains("pass 1: copied 7 blobs"), "{first:?}");
    assert!(first.stdout.contains("--finish"), "{first:?}");
    // The link has the same length as before.
    let v2 = store.image("team/app", "v2", &["shared".repeat(100), "v2".repeat(50_000)]);
    store.tag("team/app", "v1", &v2);
    fs::remove_file(store.path(&Entry::TagCurrent("other".parse().unwrap(), "v1".parse().unwrap()))).unwrap();
    let refused = migrate(at, "--from a.yml --to b.yml --finish");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("readonly") && refused.stderr.contains("SIGHUP"), "{refused:?}");
    let end = migrate(at, "--from read-only.yml --to b.yml --finish");
    assert_eq!(end.code, Some(0), "{end:?}");
    for line in
        ["removed 1 tag", "repositories\t2\t2", "tags\t2\t2", "the stores are equal: serve filesystem"]
    {
        assert!(end.stdout.contains(line), "{line}: {end:?}");
    }
    let new = StoreFiles::new(&at.join("new"));
    let link = Entry::TagCurrent("team/app".parse().unwrap(), "v1".parse().unwrap());
    assert_eq!(fs::read_to_string(new.path(&link)).unwrap(), v2.to_string());
    assert!(store.path(&Entry::Moved).exists());
    // The command of before must not overwrite later pushes to the new store.
    let again = migrate(at, "--from a.yml --to b.yml");
    assert!(again.code == Some(1) && again.stderr.contains("--merge"), "{again:?}");
}

#[test]
fn damage_is_named_with_its_images() {
    let (site, store) = site();
    let layer = store.blob("v2".repeat(50_000));
    fs::write(store.path(&Entry::Blob(layer.clone())), "v3".repeat(50_000)).unwrap();
    let ended = migrate(site.path(), "--from read-only.yml --to b.yml --finish");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let named = ended.stdout.lines().find(|line| line.contains(&layer.to_string())).unwrap();
    assert!(named.contains("hashes to sha256:") && named.contains("team/app:v2"), "{named}");
    assert!(ended.stdout.contains("only in the source"), "{ended:?}");
    assert!(!store.path(&Entry::Moved).exists(), "a store is marked that was not moved whole");
}

#[test]
fn the_reports_are_json_for_scripts() {
    let (site, store) = site();
    let at = site.path();
    let json = |arguments: &str, code: i32| -> Vec<Value> {
        let ended = migrate(at, &format!("{arguments} --format json"));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let documents: Result<_, _> = serde_json::Deserializer::from_str(&ended.stdout).into_iter().collect();
        documents.unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    };
    let planned = json("--from a.yml --to b.yml --dry-run", 0);
    let [planned] = &planned[..] else { panic!("{planned:?}") };
    assert_eq!((&planned["kind"], &planned["copied"]["blobs"]), (&"dry_run".into(), &7.into()), "{planned}");
    let layer = store.blob("v2".repeat(50_000));
    let data = store.path(&Entry::Blob(layer.clone()));
    fs::write(&data, "v3".repeat(50_000)).unwrap();
    let watched = migrate(at, "--from a.yml --to b.yml --watch --format json");
    assert_eq!(watched.code, Some(3), "{watched:?}");
    let lines: Vec<Value> = watched.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [pass] = &lines[..] else { panic!("a pass is a line: {watched:?}") };
    assert_eq!(
        (&pass["kind"], &pass["number"], &pass["is_whole"]),
        (&"pass".into(), &1.into(), &false.into())
    );
    assert_eq!(pass["damaged"]["count"], 1);
    assert_eq!(pass["damaged"]["first"][0]["digest"], layer.to_string());
    // The manifest itself, and its tag.
    for (broken, tag) in pass["broken"]["first"].as_array().unwrap().iter().zip([Value::Null, "v2".into()]) {
        assert_eq!((&broken["repository"], &broken["tag"]), (&"team/app".into(), &tag), "{pass}");
    }
    assert_eq!(pass["broken"]["count"], 2, "{pass}");
    assert!(pass["duration_secs"].as_f64().unwrap() > 0.0);

    let open = &json("--from read-only.yml --to b.yml --finish", 3)[0];
    assert_eq!(
        (&open["comparison"]["is_equal"], &open["is_moved"]),
        (&false.into(), &false.into()),
        "{open}"
    );
    assert_eq!(open["comparison"]["differences"]["first"][0]["how"], "only_in_source", "{open}");
    fs::write(&data, "v2".repeat(50_000)).unwrap();
    let link = Entry::TagCurrent("other".parse().unwrap(), "v1".parse().unwrap());
    fs::remove_file(store.path(&link)).unwrap();
    let end = json("--from read-only.yml --to b.yml --finish", 0);
    let [end] = &end[..] else { panic!("{end:?}") };
    assert_eq!((&end["kind"], &end["removed"]["tags"]), (&"finish".into(), &1.into()), "{end}");
    assert_eq!((&end["comparison"]["is_equal"], &end["is_moved"]), (&true.into(), &true.into()), "{end}");
    assert_eq!(end["comparison"]["source"], end["comparison"]["target"]);
    assert_eq!(end["comparison"]["target"]["tags"], 2);
    for kind in ["damaged", "broken", "unreadable", "dangling", "foreign", "unseen"] {
        assert!(end[kind]["count"].is_u64() && end[kind]["first"].is_array(), "{kind}: {end}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let (site, _) = site();
    fs::write(
        site.path().join("inside.yml"),
        "version: 0.1\nstorage: {filesystem: {rootdirectory: old/x}}\n",
    )
    .unwrap();
    fs::write(site.path().join("memory.yml"), "version: 0.1\nstorage: inmemory\n").unwrap();
    fs::write(site.path().join("nowhere.yml"), "version: 0.1\nstorage: {filesystem: {rootdirectory: no}}\n")
        .unwrap();
    for (arguments, code, expected) in [
        ("--from a.yml --to a.yml", 1, "the same store"),
        ("--from a.yml --to inside.yml", 1, "inside the source"),
        ("--from a.yml --to memory.yml", 1, "in-memory"),
        ("--from nowhere.yml --to b.yml", 1, "there is no store"),
        ("--from a.yml --to read-only.yml", 1, "the same store"),
        ("--from a.yml --to b.yml --rate 0", 2, "rate of 0"),
        ("--from a.yml --to b.yml --watch --finish", 2, "cannot be used with"),
        ("--from a.yml --to b.yml --repository team/app:v1", 2, "names a tag"),
        ("--to b.yml", 2, "--from"),
    ] {
        let ended = migrate(site.path(), arguments);
        assert_eq!(ended.code, Some(code), "{arguments}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{arguments}: {ended:?}");
    }
    assert!(!site.path().join("new").exists());
}

#[test]
fn repositories_are_chosen_by_patterns() {
    let (site, store) = site();
    let none = migrate(site.path(), "--from read-only.yml --to b.yml --repository tema/** --finish");
    assert!(none.code == Some(1) && none.stderr.contains("no such repository: tema/**"), "{none:?}");
    let ended = migrate(site.path(), "--from read-only.yml --to b.yml --repository team/** --finish");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("repositories\t1\t1"), "{ended:?}");
    assert!(!store.path(&Entry::Moved).exists(), "a store is marked of which only a part was moved");
    let rest = migrate(site.path(), "--from read-only.yml --to b.yml --finish");
    assert!(rest.code == Some(0) && rest.stdout.contains("repositories\t1\t1"), "{rest:?}");
    assert!(store.path(&Entry::Moved).exists(), "a store is not marked of which the rest was moved");
}

#[test]
fn a_part_that_is_finished_is_left_alone() {
    let (site, _) = site();
    let at = site.path();
    let part = "--from read-only.yml --to b.yml --repository team/** --finish";
    let first = migrate(at, part);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout.contains("finished"), "{first:?}");
    let new = StoreFiles::new(&at.join("new"));
    let pushed = new.image("team/new", "v9", &["pushed".to_owned()]);
    new.tag("team/new", "v9", &pushed);
    let again = migrate(at, part);
    assert!(again.code == Some(1) && again.stderr.contains("team/** is finished"), "{again:?}");
    let rest = migrate(at, "--from read-only.yml --to b.yml --finish");
    assert_eq!(rest.code, Some(0), "{rest:?}");
    assert!(rest.stderr.contains("left out, since their migration is finished: team/**"), "{rest:?}");
    let kept = [
        Entry::TagCurrent("team/new".parse().unwrap(), "v9".parse().unwrap()),
        Entry::Blob(pushed),
        Entry::Blob(new.blob("pushed")),
    ];
    for entry in kept {
        assert!(new.path(&entry).exists(), "the end of the migration removes {entry:?}");
    }
}

#[test]
fn what_the_source_has_lost_stays_at_the_target() {
    let (site, store) = site();
    let at = site.path();
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    let layer = Entry::Blob(store.blob("v2".repeat(50_000)));
    let data = store.path(&layer);
    let bytes = fs::read(&data).unwrap();
    fs::remove_file(&data).unwrap();
    let finish = "--from read-only.yml --to b.yml --finish";
    let ended = migrate(at, finish);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for part in ["only in the target, and needed", "verify --repair --heal-from b.yml read-only.yml", "--yes"]
    {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    let kept = StoreFiles::new(&at.join("new")).path(&layer);
    assert_eq!(fs::read(&kept).unwrap(), bytes);
    assert!(!store.path(&Entry::Moved).exists());
    let accepted = migrate(at, &format!("{finish} --yes"));
    assert!(
        accepted.code == Some(0) && accepted.stdout.contains("the stores are equal but for"),
        "{accepted:?}"
    );
    assert_eq!(fs::read(&kept).unwrap(), bytes);
}

#[test]
fn a_volume_that_is_not_mounted_removes_nothing() {
    let (site, store) = site();
    let at = site.path();
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    let new = StoreFiles::new(&at.join("new"));
    let files = || {
        let mut files = new.files();
        files.sort();
        files
    };
    let before = files();
    let root = at.join("old/docker/registry/v2");
    let finish = "--from read-only.yml --to b.yml --finish";
    for (gone, expected) in
        [("blobs", "7 of 7 blobs"), ("repositories/team", "below /docker/registry/v2/repositories/team")]
    {
        fs::rename(root.join(gone), at.join("aside")).unwrap();
        fs::create_dir(root.join(gone)).unwrap();
        let ended = migrate(at, finish);
        assert_eq!(ended.code, Some(1), "{gone}: {ended:?}");
        assert!(ended.stderr.contains(expected) && ended.stderr.contains("--yes"), "{gone}: {ended:?}");
        assert_eq!(files(), before, "{gone}");
        fs::remove_dir(root.join(gone)).unwrap();
        fs::rename(at.join("aside"), root.join(gone)).unwrap();
    }
    // It is meant.
    fs::remove_dir_all(root.join("repositories/team")).unwrap();
    let ended = migrate(at, &format!("{finish} --yes"));
    assert!(ended.code == Some(0) && ended.stdout.contains("tags\t1\t1"), "{ended:?}");
    assert!(store.path(&Entry::Moved).exists());
}

/// A directory is copied to memory, and from there to another directory, by each driver's own walk.
#[tokio::test]
async fn a_store_comes_back_from_another_kind() {
    let (site, _) = site();
    let driver = |root: &str| {
        let config =
            FilesystemConfig { rootdirectory: site.path().join(root), ..FilesystemConfig::default() };
        config.build()
    };
    let (old, new): (Arc<dyn StorageDriver>, _) =
        (driver("old").await.unwrap(), driver("new").await.unwrap());
    let memory: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    for (source, target) in [(&old, &memory), (&memory, &new)] {
        let migration =
            Migration::begin(source.clone(), target.clone(), "the source", Options::default()).await.unwrap();
        let finish = migration.finish().await.unwrap();
        assert!(finish.comparison.is_equal() && finish.pass.is_whole(), "{finish:?}");
        assert_eq!(finish.comparison.target.tags, 3);
        assert_eq!(migration.pass().await.unwrap().copied.files(), 0);
    }
    let tags = |driver: &Arc<dyn StorageDriver>| {
        Registry::builder(driver.clone()).build().repository("team/app".parse().unwrap()).tags()
    };
    let pushed: Vec<_> = tags(&old).times().await.unwrap().items.into_iter().map(|tag| tag.what).collect();
    let copied = tags(&new).times().await.unwrap().items;
    assert_eq!(copied.iter().map(|tag| tag.what.clone()).collect::<Vec<_>>(), pushed);
    let age = copied[0].at.elapsed().unwrap();
    assert!(age.as_secs() >= 3600, "the times of the pushes are lost in two copies: {age:?}");
}
