//! Stores in memory with images of every kind, and transfers between them.

#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod recipes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{Bundle, Reader, index_json, manifest_json};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::oci::{Algorithm, Digest, Reference, RepositoryName, media_type};
use sampan_engine::{PutManifest, Registry, Repository};
use sampan_transfer::{
    Error, ExportOptions, Exported, ImportOptions, ImportReport, Planned, Progress, Renames, Source,
    StoreSource, StoreTarget, TagPolicy, import, plan,
};
use serde_json::{Value, json};

/// A registry over memory.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) driver: Arc<dyn StorageDriver>,
}

/// A manifest of a store.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    pub(crate) len: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { driver: Arc::new(InMemoryDriver::new()) }
    }

    pub(crate) fn over(driver: Arc<dyn StorageDriver>) -> Self {
        Self { driver }
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::builder(self.driver.clone()).build()
    }

    pub(crate) fn source(&self) -> StoreSource {
        StoreSource::new(self.registry())
    }

    pub(crate) fn repository(&self, name: &str) -> Repository {
        self.registry().repository(name.parse().unwrap())
    }

    pub(crate) async fn blob(&self, repository: &str, algorithm: Algorithm, content: &[u8]) -> Digest {
        let digest = Digest::of(algorithm, content);
        let body = stream::iter([Ok(Bytes::copy_from_slice(content))]).boxed();
        self.repository(repository).uploads().put(&digest, Some(content.len() as u64), body).await.unwrap();
        digest
    }

    pub(crate) async fn manifest(
        &self,
        repository: &str,
        algorithm: Algorithm,
        manifest: &Value,
        tags: &[&str],
    ) -> Image {
        let bytes = Bytes::from(manifest.to_string());
        let (digest, len) = (Digest::of(algorithm, &bytes), bytes.len());
        let put = PutManifest {
            bytes,
            media_type: None,
            reference: Reference::Digest(digest.clone()),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            left_out: Vec::new(),
        };
        self.repository(repository).manifests().put(put).await.unwrap();
        Image { digest, len }
    }

    /// Pushes an image with these layers, and a foreign one that nothing holds if `foreign` is set.
    pub(crate) async fn image(
        &self,
        repository: &str,
        algorithm: Algorithm,
        config: &str,
        layers: &[Vec<u8>],
        foreign: bool,
        tags: &[&str],
    ) -> Image {
        let config = format!("{{\"os\":\"linux\",\"author\":\"{config}\"}}");
        let config_digest = self.blob(repository, algorithm, config.as_bytes()).await;
        let mut descriptors = Vec::new();
        for layer in layers {
            let digest = self.blob(repository, algorithm, layer).await;
            descriptors.push(descriptor("application/vnd.oci.image.layer.v1.tar", &digest, layer.len()));
        }
        if foreign {
            let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar";
            let mut layer = descriptor(kind, &Digest::sha256_of(b"foreign"), 7);
            layer["urls"] = json!(["https://layers.example/foreign"]);
            descriptors.push(layer);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_IMAGE_CONFIG, &config_digest, config.len()),
            "layers": descriptors,
        });
        self.manifest(repository, algorithm, &manifest, tags).await
    }

    /// Pushes an artifact with one layer, which the repository has.
    pub(crate) async fn artifact(
        &self,
        repository: &str,
        algorithm: Algorithm,
        layer: &Digest,
        len: usize,
        tags: &[&str],
    ) -> Image {
        let empty = self.blob(repository, Algorithm::Sha256, b"{}").await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": "application/vnd.example.file",
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty, 2),
            "layers": [descriptor("application/octet-stream", layer, len)],
        });
        self.manifest(repository, algorithm, &manifest, tags).await
    }

    /// Pushes an index of images, for the platforms linux/amd64, linux/arm64, ….
    pub(crate) async fn index(&self, repository: &str, children: &[Image], tags: &[&str]) -> Image {
        let children: Vec<Value> = children
            .iter()
            .zip(["amd64", "arm64", "s390x", "riscv64"])
            .map(|(child, architecture)| {
                let mut child = descriptor(media_type::OCI_MANIFEST, &child.digest, child.len);
                child["platform"] = json!({ "os": "linux", "architecture": architecture });
                child
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
        self.manifest(repository, Algorithm::Sha256, &index, tags).await
    }

    /// Attaches an artifact to an image.
    pub(crate) async fn referrer(
        &self,
        repository: &str,
        subject: &Image,
        content: &str,
        tags: &[&str],
    ) -> Image {
        let layer = self.blob(repository, Algorithm::Sha256, content.as_bytes()).await;
        let empty = self.blob(repository, Algorithm::Sha256, b"{}").await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": "application/vnd.example.sbom",
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty, 2),
            "layers": [descriptor("text/plain", &layer, content.len())],
            "subject": descriptor(media_type::OCI_MANIFEST, &subject.digest, subject.len),
        });
        self.manifest(repository, Algorithm::Sha256, &manifest, tags).await
    }

    /// Everything that clients can see.
    pub(crate) async fn state(&self) -> BTreeMap<String, Vec<String>> {
        let source = self.source();
        let mut state = BTreeMap::new();
        for name in source.repositories().await.unwrap() {
            let repository = self.registry().repository(name.clone());
            let mut lines = Vec::new();
            for tag in source.tags(&name).await.unwrap().unwrap_or_default() {
                let found = source.manifest(&name, &Reference::Tag(tag.clone())).await.unwrap().unwrap();
                lines.push(format!("tag {tag} {}", found.digest));
            }
            let manifests: Vec<Digest> = repository.manifests().list().try_collect().await.unwrap();
            for digest in manifests {
                let referrers = source.referrers(&name, &digest).await.unwrap();
                let referrers: Vec<String> = referrers.iter().map(|it| it.digest.to_string()).collect();
                lines.push(format!("manifest {digest} referrers {referrers:?}"));
            }
            let blobs: Vec<Digest> = repository.blobs().list().try_collect().await.unwrap();
            for digest in blobs {
                let size = source.blob_size(&name, &digest).await.unwrap();
                lines.push(format!("blob {digest} {size:?}"));
            }
            lines.sort();
            state.insert(name.to_string(), lines);
        }
        state
    }
}

pub(crate) fn descriptor(media_type: &str, digest: &Digest, len: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": len })
}

/// An export of everything that these selectors have.
pub(crate) fn options(selectors: &[&str]) -> ExportOptions {
    let selectors = selectors.iter().map(|selector| selector.parse().unwrap()).collect();
    ExportOptions::of(selectors, "near.example")
}

pub(crate) fn import_options() -> ImportOptions {
    ImportOptions {
        only: Vec::new(),
        renames: Renames::default(),
        tags: TagPolicy::Move,
        keep_going: false,
        jobs: 4,
        dry_run: false,
        receipt: false,
        find_missing: false,
        free_bytes: None,
        max_manifest_bytes: 4 << 20,
    }
}

pub(crate) fn assemble(planned: &Planned) -> Bundle {
    let index = index_json(&planned.plan);
    let manifest = manifest_json(&planned.plan, &planned.docker);
    Bundle::assemble(planned.plan.clone(), index, manifest, None).unwrap()
}

/// Exports to memory.
pub(crate) async fn export(store: &Store, options: &ExportOptions) -> Result<Vec<u8>, Error> {
    let planned = plan(&store.source(), options).await?;
    let bundle = assemble(&planned);
    let content = Exported::new(Arc::new(store.source()), bundle.plan(), planned.places).unwrap();
    let mut output = Vec::new();
    bundle.write(0..bundle.layout().len_bytes(), &content, &mut output).await.unwrap();
    Ok(output)
}

/// How a bundle reaches an import.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    File,
    Pipe,
}

/// Imports from memory.
pub(crate) async fn import_bytes(
    store: &Store,
    bytes: &[u8],
    way: Way,
    options: &ImportOptions,
) -> Result<ImportReport, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let reader = reader(bytes, way, file.path()).await?;
    import(&reader, &StoreTarget::new(store.registry()), options, &Progress::default()).await
}

/// A reader of a bundle in memory; `path` is where a file may be made.
pub(crate) async fn reader(bytes: &[u8], way: Way, path: &Path) -> Result<Reader, Error> {
    Ok(match way {
        Way::File => {
            std::fs::write(path, bytes).unwrap();
            Reader::open(&[path.to_owned()]).await?
        }
        Way::Pipe => {
            let (mut near, far) = tokio::io::duplex(777);
            let bytes = bytes.to_vec();
            tokio::spawn(async move {
                // The reader may stop early.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await;
            });
            Reader::from_pipe(far).await?
        }
    })
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Two repositories with an image, an index, an artifact, referrers of both kinds, and a shared layer.
pub(crate) async fn sample() -> Store {
    let store = Store::new();
    let shared = vec![1; 3000];
    let one =
        store.image("team/app", Algorithm::Sha256, "one", &[shared.clone(), vec![2; 500]], false, &[]).await;
    let two =
        store.image("team/app", Algorithm::Sha256, "two", std::slice::from_ref(&shared), false, &[]).await;
    let index = store.index("team/app", &[one.clone(), two], &["1.0", "latest"]).await;
    let sbom = store.referrer("team/app", &one, "sbom", &[]).await;
    store.referrer("team/app", &sbom, "signature of the sbom", &[]).await;
    store.referrer("team/app", &index, "scan", &[]).await;
    let signature = index.digest.to_string().replacen(':', "-", 1);
    store
        .image("team/app", Algorithm::Sha256, "sig", &[vec![3; 10]], false, &[&format!("{signature}.sig")])
        .await;
    store.image("other", Algorithm::Sha512, "long", &[shared], true, &["v2"]).await;
    store
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}
