//! `StoreFiles`: a data directory, written file by file in the state that a registry would leave.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};

/// A data directory.
pub(crate) struct StoreFiles {
    root: PathBuf,
}

impl StoreFiles {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The path of a file of the layout.
    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(entry.path().as_key())
    }

    /// Writes a file, an hour old.
    pub(crate) fn write(&self, entry: &Entry, content: impl AsRef<[u8]>) {
        let path = self.path(entry);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }

    /// Only the data.
    pub(crate) fn blob(&self, content: impl AsRef<[u8]>) -> Digest {
        let digest = Digest::sha256_of(content.as_ref());
        self.write(&Entry::Blob(digest.clone()), content);
        digest
    }

    /// A blob that can be pulled from a repository.
    pub(crate) fn layer(&self, repository: &str, content: impl AsRef<[u8]>) -> Digest {
        let digest = self.blob(content);
        self.write(&Entry::LayerLink(repository.parse().unwrap(), digest.clone()), digest.to_string());
        digest
    }

    /// A manifest that can be pulled from a repository.
    pub(crate) fn manifest(&self, repository: &str, manifest: &Value) -> Digest {
        let digest = self.blob(manifest.to_string());
        self.write(&Entry::RevisionLink(repository.parse().unwrap(), digest.clone()), digest.to_string());
        digest
    }

    /// An image of a configuration and some layers, with these texts as contents.
    pub(crate) fn image(&self, repository: &str, config: &str, layers: &[String]) -> Digest {
        self.manifest(repository, &self.image_manifest(repository, config, layers))
    }

    /// The blobs of an image, and its manifest, which is not stored.
    pub(crate) fn image_manifest(&self, repository: &str, config: &str, layers: &[String]) -> Value {
        let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"{config}\"}}");
        self.layer(repository, &config);
        for layer in layers {
            self.layer(repository, layer);
        }
        let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": layers,
        })
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        let (name, tag): (_, sampan_engine::oci::Tag) = (repository.parse().unwrap(), tag.parse().unwrap());
        self.write(&Entry::TagIndex(Clone::clone(&name), tag.clone(), digest.clone()), digest.to_string());
        self.write(&Entry::TagCurrent(name, tag), digest.to_string());
    }

    pub(crate) fn has(&self, entry: &Entry) -> bool {
        self.path(entry).exists()
    }

    /// The digests of all data.
    pub(crate) fn data(&self) -> BTreeSet<Digest> {
        self.entries()
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Blob(digest) => Some(digest),
                _ => None,
            })
            .collect()
    }

    /// Every file of the layout.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.files().iter().filter_map(|path| Entry::parse(&path.parse().unwrap())).collect()
    }

    /// Every file, by its path in the store.
    pub(crate) fn files(&self) -> Vec<String> {
        let (mut files, mut todo) = (Vec::new(), vec![self.root.clone()]);
        while let Some(directory) = todo.pop() {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for entry in entries.map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    todo.push(entry.path());
                } else {
                    let path = entry.path();
                    files.push(format!("/{}", path.strip_prefix(&self.root).unwrap().display()));
                }
            }
        }
        files
    }
}

/// An index over manifests.
pub(crate) fn index(children: &[(&Digest, usize)]) -> Value {
    let children: Vec<Value> = children
        .iter()
        .map(|(digest, size)| json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest.to_string(), "size": size }))
        .collect();
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children })
}

fn descriptor(media_type: &str, content: &str) -> Value {
    super::image::descriptor(media_type, content.as_bytes())
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
