//! `registry tag removed` and `registry tag restore`, by the built binary.

use std::fs;
use std::path::Path;

use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{Limits, Registry, Remover, Repository};
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::support::StoreFiles;

const CONFIG: &str = "version: 0.1
storage: {filesystem: {rootdirectory: data}}
audit: {file: audit.log}
access: {rules: []}
";

/// A site whose store has the tags `old` and `new` of `team/app`, which a deletion by `alice` has removed.
async fn site() -> (tempfile::TempDir, [Digest; 2]) {
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("config.yml"), CONFIG).unwrap();
    let store = StoreFiles::new(&site.path().join("data"));
    let digests = ["1", "2"].map(|config| store.image("team/app", config, &["layer".to_owned()]));
    for (tag, digest) in ["old", "new"].into_iter().zip(&digests) {
        store.tag("team/app", tag, digest);
        delete(site.path(), &tag.parse().unwrap()).await;
    }
    (site, digests)
}

async fn repository(site: &Path) -> Repository {
    let config = FilesystemConfig { rootdirectory: site.join("data"), ..FilesystemConfig::default() };
    let driver = config.build().await.unwrap();
    let limits = Limits { delete: true, ..Limits::default() };
    let registry = Registry::builder(driver).limits(limits).build();
    registry.repository("team/app".parse().unwrap()).removing_as(Remover::User("alice".to_owned()))
}

async fn delete(site: &Path, reference: &Reference) {
    repository(site).await.manifests().delete(reference).await.unwrap();
}

fn registry(site: &Path, arguments: &str) -> Ended {
    end(binary(site).args(arguments.split(' ')).args(["--config", "config.yml"]), "")
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn removed_tags_are_listed_and_restored() {
    let (site, [old, new]) = site().await;
    let run = |arguments: &str| registry(site.path(), arguments);
    let listed = json(&run("tag removed team/app --format json"));
    assert_eq!(listed[0]["tag"], "new");
    assert_eq!(listed[1]["digest"], old.to_string());
    assert_eq!(listed[1]["user"], "alice");
    let one = run("tag removed team/app old");
    assert!(one.stdout.starts_with(&format!("old\t{old}\t")) && one.stdout.ends_with("\talice\n"), "{one:?}");
    let few = run("tag removed team/app --limit 1");
    assert!(few.stdout.lines().count() == 1 && few.stderr.contains("1 earlier removal more"), "{few:?}");

    let restored = run("tag restore team/app old");
    assert_eq!(restored.stdout, format!("team/app:old points at {old} again\n"), "{restored:?}");
    let again = json(&run("tag restore team/app old --format json"));
    assert_eq!((&again["digest"], &again["restored"]), (&old.to_string().into(), &false.into()));
    let refused = run(&format!("tag restore team/app old {new}"));
    assert!(refused.code == Some(1) && refused.stderr.contains("--replace"), "{refused:?}");
    assert_eq!(run(&format!("tag restore team/app old {new} --replace")).code, Some(0));
    assert!(run("tag restore team/app old").stderr.contains(&format!("points at {new}")));

    let text = fs::read_to_string(site.path().join("audit.log")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2, "{text}");
    assert_eq!(
        (&events[1]["event"], &events[1]["digest"]),
        (&"tag restored".into(), &new.to_string().into())
    );
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_the_reason() {
    let (site, [old, _]) = site().await;
    let unknown = Digest::sha256_of(b"unknown");
    for (arguments, code, expected) in [
        ("tag restore team/app never".to_owned(), 1, "no removal of tag never of team/app is recorded"),
        (format!("tag restore team/app old {unknown}"), 1, "the image is not in team/app any more"),
        (format!("tag restore team/other old {old}"), 1, "the image is not in team/other any more"),
        ("tag restore Team/app old".to_owned(), 2, "Team/app"),
        ("tag restore team/app old 123".to_owned(), 2, "123"),
        ("tag removed ../../etc".to_owned(), 2, "../../etc"),
    ] {
        let ended = registry(site.path(), &arguments);
        assert!(ended.code == Some(code) && ended.stderr.contains(expected), "{arguments}: {ended:?}");
    }
    // A deleted manifest comes back with its tag, but not without its layer.
    delete(site.path(), &old.clone().into()).await;
    assert_eq!(registry(site.path(), "tag restore team/app old").code, Some(0));
    delete(site.path(), &old.clone().into()).await;
    let layer = Digest::sha256_of(b"layer");
    fs::remove_file(
        StoreFiles::new(&site.path().join("data")).path(&sampan_engine::layout::Entry::Blob(layer)),
    )
    .unwrap();
    let broken = registry(site.path(), "tag restore team/app old");
    assert!(broken.code == Some(1) && broken.stderr.contains("no longer whole"), "{broken:?}");

    for (from, to, expected) in [
        (
            "rootdirectory: data}",
            "rootdirectory: data}, maintenance: {readonly: {enabled: true}}",
            "read-only",
        ),
        ("{filesystem: {rootdirectory: data}}", "inmemory", "the in-memory store"),
    ] {
        fs::write(site.path().join("config.yml"), CONFIG.replace(from, to)).unwrap();
        let ended = registry(site.path(), "tag restore team/app new");
        assert!(ended.code == Some(1) && ended.stderr.contains(expected), "{expected}: {ended:?}");
    }
}
