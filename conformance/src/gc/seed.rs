//! `Seed`: a test store written file by file.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use serde_json::{Value, json};

use crate::data;
use crate::failed::{Done, located};

/// A store in the making.
#[derive(Clone)]
pub(super) struct Seed {
    driver: Arc<dyn StorageDriver>,
}

impl Seed {
    pub(super) fn new(driver: &Arc<dyn StorageDriver>) -> Self {
        Self { driver: driver.clone() }
    }

    /// Writes a file.
    #[track_caller]
    pub(super) fn put(&self, path: &DriverPath, content: impl Into<Bytes>) -> impl Done<()> {
        located(async move { Ok(self.driver.put_content(path, content.into(), PutMode::Overwrite).await?) })
    }

    /// Writes a link of the layout.
    #[track_caller]
    pub(super) fn link(&self, entry: Entry, target: &Digest) -> impl Done<DriverPath> {
        located(async move {
            let path = entry.path();
            self.put(&path, target.to_string()).await?;
            Ok(path)
        })
    }

    /// Writes data without a link.
    #[track_caller]
    pub(super) fn blob(&self, content: &Bytes) -> impl Done<Digest> {
        located(async move {
            let digest = Digest::sha256_of(content);
            self.put(&Entry::Blob(digest.clone()).path(), content.clone()).await?;
            Ok(digest)
        })
    }

    #[track_caller]
    pub(super) fn layer(&self, repository: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move { self.link(Entry::LayerLink(name(repository), digest.clone()), digest).await })
    }

    #[track_caller]
    pub(super) fn revision(&self, repository: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move { self.link(Entry::RevisionLink(name(repository), digest.clone()), digest).await })
    }

    /// A tag with one entry in its history.
    #[track_caller]
    pub(super) fn tag(&self, repository: &str, text: &str, digest: &Digest) -> impl Done<()> {
        located(async move {
            self.history(repository, text, digest).await?;
            self.link(Entry::TagCurrent(name(repository), tag(text)), digest).await?;
            Ok(())
        })
    }

    #[track_caller]
    pub(super) fn history(&self, repository: &str, text: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move {
            self.link(Entry::TagIndex(name(repository), tag(text), digest.clone()), digest).await
        })
    }

    /// A manifest with its link; in a cache, with the mark that it was fetched.
    #[track_caller]
    pub(super) fn manifest(&self, repository: &str, manifest: &Bytes) -> impl Done<Digest> {
        located(async move {
            let digest = self.blob(manifest).await?;
            self.revision(repository, &digest).await?;
            if is_cache(repository) {
                self.link(Entry::Fetched(name(repository), digest.clone()), &digest).await?;
            }
            Ok(digest)
        })
    }

    /// Deletes a file.
    #[track_caller]
    pub(super) fn remove(&self, entry: Entry) -> impl Done<()> {
        located(async move { Ok(self.driver.delete(&entry.path()).await?) })
    }

    /// An image of a configuration and two layers, all of which differ from those of other numbers.
    #[track_caller]
    pub(super) fn image(&self, repository: &str, number: u64) -> impl Done<Image> {
        located(async move {
            let mut blobs = Vec::new();
            for part in 0..3 {
                let digest = self.blob(&data::bytes(number * 3 + part, 100)).await?;
                self.layer(repository, &digest).await?;
                blobs.push(digest);
            }
            let bytes = image(&blobs[0], &blobs[1..], None);
            Ok(Image { manifest: self.manifest(repository, &bytes).await?, bytes, blobs })
        })
    }
}

/// Whether the repository is a cache in the seeded stores.
fn is_cache(repository: &str) -> bool {
    ["hub/", "quay/"].iter().any(|prefix| repository.starts_with(prefix))
}

/// A written image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) manifest: Digest,
    pub(super) bytes: Bytes,
    pub(super) blobs: Vec<Digest>,
}

impl Image {
    /// Every file of the image in a repository, its data included.
    pub(super) fn files(&self, repository: &str) -> Vec<DriverPath> {
        let mut files = vec![
            Entry::RevisionLink(name(repository), self.manifest.clone()).path(),
            Entry::Blob(self.manifest.clone()).path(),
        ];
        if is_cache(repository) {
            files.push(Entry::Fetched(name(repository), self.manifest.clone()).path());
        }
        for blob in &self.blobs {
            files.push(Entry::LayerLink(name(repository), blob.clone()).path());
            files.push(Entry::Blob(blob.clone()).path());
        }
        files
    }
}

pub(super) fn image(config: &Digest, layers: &[Digest], subject: Option<&Digest>) -> Bytes {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    let mut json = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers,
    });
    if let Some(subject) = subject {
        json["subject"] = descriptor(MANIFEST, subject);
    }
    json.to_string().into()
}

pub(super) fn index(children: &[Digest]) -> Bytes {
    let children: Vec<Value> = children.iter().map(|child| descriptor(MANIFEST, child)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string().into()
}

fn descriptor(media_type: &str, digest: &Digest) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": 1 })
}

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[track_caller]
pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub(super) fn tag(text: &str) -> Tag {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}
