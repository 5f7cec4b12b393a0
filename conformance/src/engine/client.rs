//! `Client`: the requests of docker and similar clients to a registry, and the images that they push.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{BoxError, ByteRange, StorageDriver};
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};
use sampan_engine::{
    BlobInfo, Body, ChunkRange, Error, Limits, PutManifest, PutOutcome, ReferrersQuery, Registry, Repository,
    StartUpload, UploadId,
};
use serde_json::json;

use crate::check::same_bytes;
use crate::failed::{Done, located};
use crate::{Context, data};

/// A client with its own registry over a store, like one process.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) registry: Registry,
}

impl Client {
    pub(super) fn new(driver: &Arc<dyn StorageDriver>) -> Self {
        let limits = Limits { delete: true, ..Limits::default() };
        // Without the blob cache, every read of a blob reaches the driver.
        Self { registry: Registry::builder(driver.clone()).limits(limits).blob_cache_bytes(0).build() }
    }

    /// A client of another process over the same store.
    #[track_caller]
    pub(super) fn of_another_process(ctx: &Context) -> impl Done<Self> {
        located(async move { Ok(Self::new(ctx.reopen().await?.driver())) })
    }

    pub(super) fn repository(&self, repository: &str) -> Repository {
        self.registry.repository(name(repository))
    }

    /// Pushes a blob in the usual way: an upload, a few chunks, and a last one with the digest.
    pub(super) async fn push_blob(&self, repository: &str, content: &Bytes) -> Result<Digest, Error> {
        let (uploads, digest) = (self.repository(repository).uploads(), Digest::sha256_of(content));
        let id = uploads.start(StartUpload::default()).await?.id;
        let (first, second) = (content.len() / 3, content.len() * 2 / 3);
        uploads.append(&id, range(0, first), body([content.slice(..first)])).await?;
        uploads.append(&id, range(first, second), body([content.slice(first..second)])).await?;
        uploads.finish(&id, range(second, content.len()), body([content.slice(second..)]), &digest).await?;
        Ok(digest)
    }

    /// Pushes a blob in one request.
    pub(super) async fn put_blob(
        &self,
        repository: &str,
        content: &Bytes,
        digest: &Digest,
    ) -> Result<BlobInfo, Error> {
        let uploads = self.repository(repository).uploads();
        uploads.put(digest, Some(content.len() as u64), body([content.clone()])).await
    }

    /// Resumes an upload like a client without state: asks for its length, and sends the rest.
    pub(super) async fn resume(
        &self,
        repository: &str,
        id: &UploadId,
        content: &Bytes,
    ) -> Result<Digest, Error> {
        let (uploads, digest) = (self.repository(repository).uploads(), Digest::sha256_of(content));
        let size = match uploads.status(id).await {
            Ok(status) => status.size_bytes as usize,
            Err(Error::UploadUnknown(_)) => return self.push_blob(repository, content).await,
            Err(error) => return Err(error),
        };
        let rest = content.slice(size.min(content.len())..);
        uploads.finish(id, None, body([rest]), &digest).await?;
        Ok(digest)
    }

    pub(super) async fn push_manifest(
        &self,
        repository: &str,
        manifest: &Bytes,
        reference: impl Into<Reference>,
        tags: &[&str],
    ) -> Result<PutOutcome, Error> {
        let tags = tags.iter().map(|text| tag(text)).collect();
        let put = PutManifest {
            bytes: manifest.clone(),
            media_type: None,
            reference: reference.into(),
            tags,
            left_out: Vec::new(),
        };
        self.repository(repository).manifests().put(put).await
    }

    /// Attaches an artifact to `subject`.
    pub(super) async fn attach(
        &self,
        repository: &str,
        artifact_type: &str,
        subject: &Bytes,
    ) -> Result<Bytes, Error> {
        let artifact = artifact(artifact_type, subject);
        let empty = Bytes::from_static(EMPTY_JSON);
        self.put_blob(repository, &empty, &Digest::sha256_of(&empty)).await?;
        self.push_manifest(repository, &artifact, Digest::sha256_of(&artifact), &[]).await?;
        Ok(artifact)
    }

    /// All referrers of `subject`.
    pub(super) async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let page = self.repository(repository).referrers().list(subject, &ReferrersQuery::default()).await?;
        Ok(page.descriptors.iter().map(sampan_engine::Referrer::descriptor).collect())
    }

    /// Pushes an image as docker does: layers, configuration, manifest.
    pub(super) async fn push_image(
        &self,
        repository: &str,
        image: &Image,
        as_tag: &str,
    ) -> Result<(), Error> {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await?;
        }
        self.push_manifest(repository, &image.manifest, tag(as_tag), &[]).await?;
        Ok(())
    }

    /// Pushes the blobs of an image in one request each.
    pub(super) async fn put_blobs(&self, repository: &str, image: &Image) -> Result<(), Error> {
        for blob in image.blobs() {
            self.put_blob(repository, blob, &Digest::sha256_of(blob)).await?;
        }
        Ok(())
    }

    /// Pushes an image in as few requests as possible.
    pub(super) async fn put_image(&self, repository: &str, image: &Image, as_tag: &str) -> Result<(), Error> {
        self.put_blobs(repository, image).await?;
        self.push_manifest(repository, &image.manifest, tag(as_tag), &[]).await?;
        Ok(())
    }

    #[track_caller]
    pub(super) fn pull_blob(&self, repository: &str, digest: &Digest) -> impl Done<Vec<u8>> {
        located(async move {
            let (_, reader) = self.repository(repository).blobs().read(digest, ByteRange::ALL).await?;
            crate::context::drain(reader).await
        })
    }

    /// Pulls an image as docker does, and compares every byte.
    #[track_caller]
    pub(super) fn pulls(
        &self,
        repository: &str,
        image: &Image,
        reference: impl Into<Reference>,
    ) -> impl Done<()> {
        located(async move {
            let reference = reference.into();
            let stored = self.repository(repository).manifests().get(&reference).await?;
            same_bytes(
                &stored.bytes,
                &image.manifest,
                format_args!("the manifest {reference} in {repository}"),
            )?;
            for blob in image.blobs() {
                let digest = Digest::sha256_of(blob);
                same_bytes(
                    &self.pull_blob(repository, &digest).await?,
                    blob,
                    format_args!("the blob {digest}"),
                )?;
            }
            Ok(())
        })
    }
}

/// An image: a manifest, its configuration and two layers.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) config: Bytes,
    pub(super) layers: [Bytes; 2],
    pub(super) manifest: Bytes,
}

impl Image {
    /// An image that differs in every part from those of other seeds.
    pub(super) fn new(seed: u64) -> Self {
        Self::sized(seed, 20_000)
    }

    /// The same with a first layer of so many bytes.
    pub(super) fn sized(seed: u64, size_bytes: usize) -> Self {
        let config = Bytes::from(json!({ "architecture": "amd64", "os": "linux", "seed": seed }).to_string());
        let layers = [data::bytes(1000 + seed, size_bytes), data::bytes(2000 + seed, 300)];
        let manifest = Bytes::from(
            json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
                "layers": layers.each_ref().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)),
            })
            .to_string(),
        );
        Self { config, layers, manifest }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::sha256_of(&self.manifest)
    }

    /// The blobs that must exist before the manifest.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Bytes> {
        self.layers.iter().chain([&self.config])
    }
}

/// An index of images.
pub(super) fn index(images: &[&Image]) -> Bytes {
    let children: Vec<_> = images.iter().map(|image| descriptor(MANIFEST, &image.manifest)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string().into()
}

/// An artifact that is attached to a manifest; its configuration and its only layer are the empty JSON object.
pub(super) fn artifact(artifact_type: &str, subject: &Bytes) -> Bytes {
    let empty = descriptor("application/vnd.oci.empty.v1+json", EMPTY_JSON);
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [empty],
        "subject": descriptor(MANIFEST, subject),
    })
    .to_string()
    .into()
}

/// A body of these chunks.
pub(super) fn body<const N: usize>(chunks: [Bytes; N]) -> Body {
    futures::stream::iter(chunks).map(Ok).boxed()
}

/// A body that breaks off after `sent`.
pub(super) fn broken_body(sent: Bytes) -> Body {
    let broken: Result<Bytes, BoxError> = Err("the client is gone".into());
    futures::stream::iter([Ok(sent), broken]).boxed()
}

/// The range of the bytes `start..end`; `None` for no bytes, as clients send it.
pub(super) fn range(start: usize, end: usize) -> Option<ChunkRange> {
    (start < end).then(|| ChunkRange { start: start as u64, end: end as u64 - 1 })
}

/// Every path of the store.
#[track_caller]
pub(super) fn walk(driver: &Arc<dyn StorageDriver>) -> impl Done<Vec<sampan_driver::FileInfo>> {
    located(async move { Ok(driver.walk(&sampan_driver::DriverPath::root(), None).try_collect().await?) })
}

#[track_caller]
pub(super) fn name(text: &str) -> RepositoryName {
    match text.parse() {
        Ok(name) => name,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub(super) fn tag(text: &str) -> Tag {
    match text.parse() {
        Ok(tag) => tag,
        Err(error) => panic!("{error}"),
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256_of(content).to_string(), "size": content.len() })
}

/// The content of artifacts without a configuration.
pub(super) const EMPTY_JSON: &[u8] = b"{}";

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
