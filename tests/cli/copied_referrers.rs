//! Referrers of a copy: what is attached to an image stays listed where the source or the target has no index of referrers.

use std::fs;
use std::path::Path;

use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::{ReferrersQuery, Registry};
use serde_json::json;

use super::support::expect;
use crate::support::StoreFiles;

/// Configurations of three stores.
fn site() -> (tempfile::TempDir, StoreFiles, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    for root in ["source", "target", "backups"] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n");
        fs::write(site.path().join(format!("{root}.yml")), text).unwrap();
    }
    let store = |root: &str| StoreFiles::new(&site.path().join(root));
    let (source, target) = (store("source"), store("target"));
    (site, source, target)
}

/// An image, and a manifest without a tag that is attached to it, as Distribution stores them.
fn signed(store: &StoreFiles, tag: &str) -> (Digest, Digest) {
    let image = store.image_manifest("app", tag, &[tag.repeat(50)]);
    let subject = json!({
        "mediaType": image["mediaType"],
        "digest": Digest::sha256_of(image.to_string().as_bytes()),
        "size": image.to_string().len(),
    });
    let mut signature = store.image_manifest("app", &format!("signature of {tag}"), &[]);
    signature["subject"] = subject;
    let image = store.manifest("app", &image);
    store.tag("app", tag, &image);
    (image, store.manifest("app", &signature))
}

fn mark_complete(store: &StoreFiles) {
    store.write(&Entry::ReferrersComplete("app".parse().unwrap()), "1");
}

async fn referrers(root: &Path, image: &Digest) -> Vec<Digest> {
    let config = FilesystemConfig { rootdirectory: root.to_owned(), ..FilesystemConfig::default() };
    let registry = Registry::builder(config.build().await.unwrap()).build();
    let referrers = registry.repository("app".parse().unwrap()).referrers();
    let page = referrers.list(image, &ReferrersQuery::default()).await.unwrap();
    page.descriptors.iter().map(|referrer| referrer.descriptor().digest).collect()
}

#[tokio::test]
async fn what_a_source_without_an_index_has_attached_is_listed_by_a_target_with_one() {
    let (site, source, target) = site();
    let (image, signature) = signed(&source, "v1");
    target.image("app", "own", &[]);
    mark_complete(&target);
    let merge = ["migrate", "--from", "source.yml", "--to", "target.yml", "--merge", "--watch"];
    expect(site.path(), 0, &merge);
    assert_eq!(referrers(&site.path().join("target"), &image).await, std::slice::from_ref(&signature));

    fs::remove_dir_all(site.path().join("target")).unwrap();
    target.image("app", "own", &[]);
    mark_complete(&target);
    expect(site.path(), 0, &["backup", "run", "--to", "backups.yml", "source.yml"]);
    let restore = ["backup", "restore", "--from", "backups.yml", "--at", "latest", "--to", "target.yml"];
    expect(site.path(), 0, &restore);
    assert_eq!(referrers(&site.path().join("target"), &image).await, [signature]);
}

#[tokio::test]
async fn the_end_of_a_migration_keeps_the_index_that_only_the_target_has() {
    let (site, source, target) = site();
    let migrate = |end: &str| {
        expect(site.path(), 0, &["migrate", "--from", "source.yml", "--to", "target.yml", end]);
    };
    signed(&source, "v1");
    migrate("--watch");
    // The target was asked for referrers between the passes.
    mark_complete(&target);
    let (image, signature) = signed(&source, "v2");
    migrate("--watch");
    let read_only = "version: 0.1\nstorage: {filesystem: {rootdirectory: source}, maintenance: {readonly: {enabled: true}}}\n";
    fs::write(site.path().join("source.yml"), read_only).unwrap();
    migrate("--finish");
    assert_eq!(referrers(&site.path().join("target"), &image).await, [signature]);
}

#[tokio::test]
async fn what_a_target_without_an_index_has_attached_is_listed_after_a_merge_with_one() {
    let (site, source, target) = site();
    let (image, signature) = signed(&target, "own");
    source.image("app", "v1", &[]);
    mark_complete(&source);
    let merge = ["migrate", "--from", "source.yml", "--to", "target.yml", "--merge", "--watch"];
    expect(site.path(), 0, &merge);
    assert_eq!(referrers(&site.path().join("target"), &image).await, [signature]);
}
