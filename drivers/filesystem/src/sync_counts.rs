//! Tests: how often a request waits for the disk. A push waits for each of these one after the other, so none may be added
//! unnoticed; `docs/architecture.md` says what each is for.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use sampan_driver::StorageDriver;
use sampan_engine::oci::{Digest, Reference, RepositoryName};
use sampan_engine::{Body, Limits, MountOutcome, PutManifest, Registry, Repository, StartUpload};

use crate::failing_disk::{Place, posix};
use crate::sync_rule::SyncRule;

/// How often each request of a first push, and of those after it, waits for the disk.
async fn counts(place: &Place) -> Vec<(&'static str, usize)> {
    let driver: Arc<dyn StorageDriver> = Arc::new(place.driver.clone());
    let registry = Registry::builder(driver).limits(Limits { delete: true, ..Limits::default() }).build();
    let repository = |name: &str| registry.repository(name.parse::<RepositoryName>().unwrap());
    let app = repository("team/app");
    let mut counts = Vec::new();
    let mut count = |what| counts.push((what, place.watch.syncs()));
    count("nothing");

    let begun = app.uploads().start(StartUpload::default()).await.unwrap();
    count("POST, first of the store");
    app.uploads().append(&begun.id, None, body(b"layer")).await.unwrap();
    count("PATCH");
    let layer = Digest::sha256_of(b"layer");
    app.uploads().finish(&begun.id, None, body(b""), &layer).await.unwrap();
    count("PUT blob, first of the store");
    let config = push(&app, b"{}").await;
    count("POST and PUT blob, second of the repository");
    let manifest = manifest(&config, &layer);
    tag(&app, &manifest, "v1").await;
    count("PUT manifest, first of the repository");
    tag(&app, &manifest, "v1").await;
    count("PUT manifest, the same again");
    tag(&app, &manifest, "v2").await;
    count("PUT manifest, another tag");

    let other = repository("team/other");
    let mounted = other.blobs().mount(&layer, Some(&"team/app".parse().unwrap())).await.unwrap();
    assert!(matches!(mounted, MountOutcome::Mounted(_)));
    count("mount, first of a repository");
    app.manifests().delete(&"v1".parse::<Reference>().unwrap()).await.unwrap();
    count("DELETE tag");
    let digest = Digest::sha256_of(&manifest);
    app.manifests().delete(&Reference::Digest(digest)).await.unwrap();
    count("DELETE manifest with one tag");
    counts
}

async fn push(repository: &Repository, content: &'static [u8]) -> Digest {
    let digest = Digest::sha256_of(content);
    let begun = repository.uploads().start(StartUpload::default()).await.unwrap();
    repository.uploads().finish(&begun.id, None, body(content), &digest).await.unwrap();
    digest
}

async fn tag(repository: &Repository, manifest: &Bytes, tag: &str) {
    let put = PutManifest {
        bytes: manifest.clone(),
        media_type: None,
        reference: tag.parse::<Reference>().unwrap(),
        tags: Vec::new(),
    };
    repository.manifests().put(put).await.unwrap();
}

fn body(content: &'static [u8]) -> Body {
    futures::stream::iter([Ok(Bytes::from_static(content))]).boxed()
}

fn manifest(config: &Digest, layer: &Digest) -> Bytes {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},
        "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":5}}]}}"#
    );
    Bytes::from(text)
}

#[tokio::test]
async fn where_a_directory_is_durable_with_its_content_each_file_and_name_is_waited_for_once() {
    let counts = counts(&Place::new(SyncRule::WithItsContent)).await;
    let expected = [
        ("nothing", 0),
        ("POST, first of the store", 0),
        ("PATCH", 0),
        ("PUT blob, first of the store", 6),
        ("POST and PUT blob, second of the repository", 5),
        ("PUT manifest, first of the repository", 8),
        ("PUT manifest, the same again", 6),
        ("PUT manifest, another tag", 6),
        ("mount, first of a repository", 2),
        ("DELETE tag", 2),
        ("DELETE manifest with one tag", 3),
    ];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn elsewhere_each_new_directory_is_waited_for_once_more() {
    let counts = counts(&Place::new(posix)).await;
    let expected = [
        ("nothing", 0),
        ("POST, first of the store", 7),
        ("PATCH", 0),
        ("PUT blob, first of the store", 13),
        ("POST and PUT blob, second of the repository", 8),
        ("PUT manifest, first of the repository", 20),
        ("PUT manifest, the same again", 6),
        ("PUT manifest, another tag", 11),
        ("mount, first of a repository", 6),
        ("DELETE tag", 4),
        ("DELETE manifest with one tag", 3),
    ];
    assert_eq!(counts, expected);
}
