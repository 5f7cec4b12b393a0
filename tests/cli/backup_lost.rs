//! `registry backup`, by the built binary, of a store that has lost something.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::{DriverConfig, StorageDriver};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::backup::RunOptions;
use sampan_engine::layout::Entry;
use sampan_engine::{AccessTokenId, Clock, Registry, StoreIdentity};
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::support::StoreFiles;

/// Configurations of a store, of the store of its backups, and of an empty one.
fn site() -> (tempfile::TempDir, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    for (name, root) in [("config", "data"), ("backup", "backups"), ("new", "new")] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n");
        fs::write(site.path().join(format!("{name}.yml")), text).unwrap();
    }
    let store = StoreFiles::new(&site.path().join("data"));
    for (repository, tag) in [("team/app", "v1"), ("team/web", "v1"), ("other/x", "v1")] {
        let image = store.image(repository, repository, &[repository.to_owned()]);
        store.tag(repository, tag, &image);
    }
    (site, store)
}

fn backup(site: &Path, arguments: &str) -> Ended {
    end(binary(site).arg("backup").args(arguments.split_whitespace()), "")
}

fn run(site: &Path, arguments: &str, code: i32) -> Ended {
    let ended = backup(site, &format!("run --to backup.yml config.yml {arguments}"));
    assert_eq!(ended.code, Some(code), "{arguments}: {ended:?}");
    ended
}

async fn driver(root: &Path) -> Arc<dyn StorageDriver> {
    let config = FilesystemConfig { rootdirectory: root.to_owned(), ..FilesystemConfig::default() };
    config.build().await.unwrap()
}

#[test]
fn a_tag_whose_link_is_lost_is_named_and_stays_in_the_backups() {
    let (site, store) = site();
    let at = site.path();
    run(at, "", 0);
    let links = store.entries().into_iter();
    let link = links.filter(|it| matches!(it, Entry::RevisionLink(name, _) if name.as_str() == "team/web"));
    let link = link.last().unwrap();
    fs::remove_file(store.path(&link)).unwrap();
    let tag = Entry::TagCurrent("team/web".parse().unwrap(), "v1".parse().unwrap());
    let ended = run(at, "", 3);
    let named = format!("leads nowhere at the source: {}", tag.path());
    assert!(ended.stdout.contains(&named), "{ended:?}");
    assert!(ended.stdout.contains("3 repositories, 3 tags"), "the backups have the image: {ended:?}");
    let document: Value = serde_json::from_str(&run(at, "--format json", 3).stdout).unwrap();
    let dangling = &document["pass"]["dangling"];
    assert_eq!(
        (&dangling["count"], &dangling["first"][0]),
        (&1.into(), &tag.path().as_str().into()),
        "{document}"
    );
    assert_eq!(document["pass"]["is_whole"], false, "{document}");
    assert_eq!(backup(at, "prune --last 1 --grace 0 backup.yml").code, Some(0));
    let restored = backup(at, "restore --from backup.yml --at latest --to config.yml");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(store.has(&link), "the image is lost");
    run(at, "", 0);
}

/// The backups never had the image.
#[test]
fn a_tag_that_leads_nowhere_is_named_and_left_out() {
    let (site, store) = site();
    let at = site.path();
    store.tag("team/web", "broken", &sampan_engine::oci::Digest::sha256_of(b"nowhere"));
    for _ in 0..2 {
        let ended = run(at, "", 3);
        assert!(ended.stdout.contains("/team/web/_manifests/tags/broken/current/link"), "{ended:?}");
        assert!(ended.stdout.contains("3 repositories, 3 tags"), "{ended:?}");
    }
}

/// A clock was wrong once.
#[tokio::test]
async fn a_snapshot_of_the_future_hides_no_part_that_vanishes() {
    let (site, _store) = site();
    let at = site.path();
    let registry = async |root: &str| Registry::builder(driver(&at.join(root)).await);
    let jumped = SystemTime::now() + Duration::from_secs(400 * 24 * 60 * 60);
    let from = format!("filesystem {}", at.canonicalize().unwrap().join("data").display());
    run(at, "", 0);
    let source = registry("data").await.clock(Clock::new(move || jumped)).build();
    let options = RunOptions::default();
    sampan_engine::backup::run(&source, &registry("backups").await.build(), &from, &options).await.unwrap();
    let repositories = at.join("data/docker/registry/v2/repositories");
    for (gone, stays) in [("other", "team"), ("team", "more")] {
        if stays == "more" {
            fs::create_dir(repositories.join("more")).unwrap();
            fs::rename(repositories.join("team/app"), repositories.join("more/app")).unwrap();
            run(at, "", 0);
        }
        fs::remove_dir_all(repositories.join(gone)).unwrap();
        assert!(run(at, "", 3).stderr.contains(&format!("shows nothing of {gone}, but")));
        run(at, "--yes", 0);
        run(at, "", 0);
    }
}

#[test]
fn a_part_of_a_selection_that_has_vanished_is_named() {
    let (site, _store) = site();
    let at = site.path();
    let team = at.join("data/docker/registry/v2/repositories/team");
    let selection = "--repository team/** --repository other/**";
    run(at, selection, 0);
    run(at, "--repository other/**", 0);
    fs::rename(&team, at.join("team")).unwrap();
    fs::create_dir(&team).unwrap();
    run(at, "--repository other/**", 0);
    for _ in 0..2 {
        let ended = run(at, "--repository other/** --repository team/**", 3);
        assert!(ended.stderr.contains("the store shows nothing of team, but"), "{ended:?}");
    }
    run(at, &format!("{selection} --yes"), 0);
    run(at, "--repository other/**", 0);
}

/// A power failure has emptied the file, or it was deleted.
#[tokio::test]
async fn a_store_without_a_readable_id_is_known_by_its_links() {
    for is_empty in [true, false] {
        let (site, store) = site();
        let at = site.path();
        let driver = driver(&at.join("data")).await;
        StoreIdentity::establish(&driver).await.unwrap();
        run(at, "", 0);
        match is_empty {
            true => store.write(&Entry::StoreId, ""),
            false => fs::remove_file(store.path(&Entry::StoreId)).unwrap(),
        }
        run(at, "", 0);
        // The next start of a registry writes another one.
        StoreIdentity::establish(&driver).await.unwrap();
        run(at, "", 0);
    }
}

/// The registry has started before the next backup.
#[tokio::test]
async fn a_store_whose_damaged_id_was_replaced_is_known_by_its_links() {
    let (site, store) = site();
    let at = site.path();
    let driver = driver(&at.join("data")).await;
    StoreIdentity::establish(&driver).await.unwrap();
    run(at, "", 0);
    store.write(&Entry::StoreId, "");
    StoreIdentity::establish(&driver).await.unwrap();
    assert!(!fs::read(store.path(&Entry::StoreId)).unwrap().is_empty());
    run(at, "", 0);
    // Another store has none of the links.
    store.write(&Entry::StoreId, "");
    StoreIdentity::establish(&driver).await.unwrap();
    fs::remove_dir_all(at.join("data/docker/registry/v2/repositories")).unwrap();
    let image = store.image("others", "others", &["others".to_owned()]);
    store.tag("others", "v1", &image);
    assert!(run(at, "", 1).stderr.contains("of another machine or disk"));
}

/// Nothing says that the number was damaged.
#[tokio::test]
async fn another_id_is_that_of_another_store() {
    let (site, store) = site();
    let at = site.path();
    let driver = driver(&at.join("data")).await;
    StoreIdentity::establish(&driver).await.unwrap();
    run(at, "", 0);
    fs::remove_file(store.path(&Entry::StoreId)).unwrap();
    StoreIdentity::establish(&driver).await.unwrap();
    assert!(run(at, "", 1).stderr.contains("of another machine or disk"));
}

#[test]
fn a_store_is_known_after_its_first_repository_was_deleted() {
    let (site, store) = site();
    let layers: Vec<String> = (0..40).map(|number| format!("layer {number}")).collect();
    let image = store.image("aaa/old", "old", &layers);
    store.tag("aaa/old", "v1", &image);
    run(site.path(), "", 0);
    // A collection leaves directories.
    let repository = site.path().join("data/docker/registry/v2/repositories/aaa/old");
    fs::remove_dir_all(repository.join("_layers")).unwrap();
    fs::remove_dir_all(repository.join("_manifests")).unwrap();
    run(site.path(), "", 0);
}

#[test]
fn snapshots_without_their_marker_are_restored_verified_continued_and_pruned() {
    let (site, _) = site();
    let at = site.path();
    run(at, "", 0);
    let marker = StoreFiles::new(&at.join("backups")).path(&Entry::BackupOf);
    let lose = || fs::remove_file(&marker).unwrap();
    lose();
    for arguments in [
        "restore --from backup.yml --at latest --to new.yml",
        "verify backup.yml",
        "prune --last 1 backup.yml",
    ] {
        let ended = backup(at, arguments);
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
    }
    run(at, "", 0);
    assert!(marker.exists());
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    let (site, _store) = site();
    let at = site.path();
    let warning = "no repository matches `--repository taem/**`";
    let ended = run(at, "--repository taem/** --repository team/**", 3);
    assert!(ended.stderr.contains(warning) && !ended.stderr.contains("`--repository team/**`"), "{ended:?}");
    let document = run(at, "--repository taem/** --repository team/** --format json", 3).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["unmatched"], serde_json::json!(["taem/**"]), "{document}");
    run(at, "", 0);
    let restore =
        "restore --from backup.yml --at latest --to config.yml --repository taem/** --repository other/x";
    let restored = backup(at, restore);
    assert_eq!(restored.code, Some(3), "{restored:?}");
    assert!(restored.stderr.contains(warning) && !restored.stderr.contains("other/x"), "{restored:?}");
    assert_eq!(
        backup(at, "restore --from backup.yml --at latest --to new.yml --repository team/**").code,
        Some(0)
    );
}

#[test]
fn access_tokens_that_vanish_together_stay_in_the_backups() {
    let (site, store) = site();
    let at = site.path();
    let token = Entry::AccessTokenRecord(AccessTokenId::random());
    store.write(&token, "{}");
    let backups = StoreFiles::new(&at.join("backups"));
    run(at, "", 0);
    fs::remove_dir_all(store.path(&token).parent().unwrap().parent().unwrap()).unwrap();
    let ended = run(at, "", 3);
    assert!(ended.stderr.contains("the store has no access tokens any more"), "{ended:?}");
    assert!(backups.has(&token));
    let document: Value = serde_json::from_str(&run(at, "--format json", 3).stdout).unwrap();
    assert_eq!(document["tokens_vanished"], true, "{document}");
    run(at, "--yes", 0);
    assert!(!backups.has(&token));
    run(at, "", 0);
}
