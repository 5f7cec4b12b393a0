//! `ApiClient`: our client of the API against a registry, through everything that it can do.

use std::time::Duration;

use bytes::Bytes;
use sampan_client::{
    BytesSource, ClientError, ClientOptions, Pushed, RegistryClient, RemoteManifest, RepositoryClient,
    RetryPolicy,
};
use sampan_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use sampan_engine::oci::{Digest, Reference};
use serde_json::{Value, json};

use super::random;

/// A client of one registry, whose waits between attempts are short.
pub(crate) struct ApiClient(pub(crate) RegistryClient);

impl ApiClient {
    /// A client for a registry at `url`.
    pub(crate) fn new(url: &str, options: ClientOptions) -> Self {
        let millisecond = Duration::from_millis(1);
        let retry = RetryPolicy { first: millisecond, longest: 20 * millisecond, ..options.retry };
        Self(RegistryClient::new(url.parse().unwrap(), ClientOptions { retry, ..options }).unwrap())
    }

    /// [`push_and_read`](Self::push_and_read), and deletes.
    pub(crate) async fn round_trip(&self) {
        let (app, image, layer) = self.push_and_read().await;
        let by_digest = Reference::Digest(image);
        assert!(app.delete_manifest(&by_digest).await.unwrap());
        assert!(app.manifest(&by_digest).await.unwrap().is_none());
        assert!(!app.delete_manifest(&by_digest).await.unwrap());
        assert!(app.delete_blob(&layer).await.unwrap());
        assert!(app.blob(&layer, None).await.unwrap().is_none());
    }

    /// Pushes blobs in every way, an image, an index and referrers; lists and pulls them. Returns the repository, the image
    /// and its layer.
    pub(crate) async fn push_and_read(&self) -> (RepositoryClient, Digest, Digest) {
        self.0.ping().await.unwrap();
        let app = self.0.repository("team/app".parse().unwrap());
        let layer = push_blobs(&app).await;
        let config = Bytes::from_static(b"{}");
        assert_eq!(push(&app, &config).await.unwrap(), Pushed::Uploaded);
        let image = Bytes::from(
            json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
                "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
            })
            .to_string(),
        );
        let index = Bytes::from(
            json!({
                "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, &image)],
            })
            .to_string(),
        );
        let by_digest = Reference::Digest(Digest::sha256_of(&image));
        app.put_manifest(&by_digest, OCI_MANIFEST, image.clone()).await.unwrap();
        for tag in ["v1", "v2"] {
            let put = app.put_manifest(&tag.parse().unwrap(), OCI_INDEX, index.clone()).await.unwrap();
            assert_eq!(put.digest, Digest::sha256_of(&index));
        }
        self.attach(&app, &image, &config).await;
        self.read(&app, &index, &image, &layer).await;
        self.copy(&app, &layer).await;
        (app, Digest::sha256_of(&image), Digest::sha256_of(&layer))
    }

    /// Pushes an image of `layers` as `repository:tag`.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, layers: &[Bytes]) {
        let app = self.0.repository(repository.parse().unwrap());
        let config =
            Bytes::from(json!({"architecture": "amd64", "os": "linux", "of": repository}).to_string());
        for content in layers.iter().chain([&config]) {
            push(&app, content).await.unwrap();
        }
        let layer = |content: &Bytes| descriptor("application/vnd.oci.image.layer.v1.tar", content);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        app.put_manifest(&tag.parse().unwrap(), OCI_MANIFEST, manifest.to_string().into()).await.unwrap();
    }

    /// Attaches two referrers, and finds them by the API or by the fallback tag.
    async fn attach(&self, app: &RepositoryClient, image: &Bytes, config: &Bytes) {
        let mut attached = Vec::new();
        for kind in ["example/sbom", "example/signature"] {
            let referrer = Bytes::from(
                json!({
                    "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
                    "config": descriptor("application/vnd.oci.empty.v1+json", config), "layers": [],
                    "subject": descriptor(OCI_MANIFEST, image),
                })
                .to_string(),
            );
            let by_digest = Reference::Digest(Digest::sha256_of(&referrer));
            app.put_manifest(&by_digest, OCI_MANIFEST, referrer.clone()).await.unwrap();
            attached.push(Digest::sha256_of(&referrer));
        }
        let subject = Digest::sha256_of(image);
        let listed = app.referrers(&subject, None).await.unwrap();
        let mut listed: Vec<_> = listed.into_iter().map(|referrer| referrer.digest).collect();
        listed.sort();
        let [sbom] = &app.referrers(&subject, Some("example/sbom")).await.unwrap()[..] else { panic!() };
        assert_eq!(sbom.digest, attached[0]);
        attached.sort();
        assert_eq!(listed, attached);
    }

    async fn read(&self, app: &RepositoryClient, index: &Bytes, image: &Bytes, layer: &Bytes) {
        let tags = app.tags().await.unwrap().unwrap();
        let tags: Vec<_> =
            tags.iter().map(|tag| tag.as_str()).filter(|tag| !tag.starts_with("sha256-")).collect();
        assert_eq!(tags, ["v1", "v2"]);
        let repositories = self.0.repositories().await.unwrap().unwrap();
        assert!(repositories.iter().any(|name| name.as_str() == "team/app"), "{repositories:?}");
        let found = app.manifest(&"v1".parse().unwrap()).await.unwrap().unwrap();
        let expected = RemoteManifest {
            digest: Digest::sha256_of(index),
            media_type: OCI_INDEX.to_owned(),
            bytes: index.clone(),
        };
        assert_eq!(found, expected);
        let info = app.manifest_info(&Reference::Digest(Digest::sha256_of(image))).await.unwrap().unwrap();
        assert_eq!(info.size_bytes, Some(image.len() as u64));
        let digest = Digest::sha256_of(layer);
        assert_eq!(app.blob_info(&digest).await.unwrap().unwrap().size_bytes, Some(layer.len() as u64));
        let mut read = Vec::new();
        let mut blob = app.blob(&digest, Some(layer.len() as u64)).await.unwrap().unwrap();
        while let Some(chunk) = blob.next().await.unwrap() {
            read.extend_from_slice(&chunk);
        }
        assert!(read == *layer);
    }

    /// A second repository gets a mount, which moves no bytes.
    async fn copy(&self, app: &RepositoryClient, layer: &Bytes) {
        let other = self.0.repository("other/app".parse().unwrap());
        let digest = Digest::sha256_of(layer);
        assert!(other.blob_info(&digest).await.unwrap().is_none());
        assert!(other.mount_blob(&digest, app.name()).await.unwrap());
        assert!(other.blob_info(&digest).await.unwrap().is_some());
        assert!(!other.mount_blob(&Digest::sha256_of(b"nowhere"), app.name()).await.unwrap());
    }
}

/// Pushes a layer in one request, and others in chunks.
async fn push_blobs(app: &RepositoryClient) -> Bytes {
    let layer = Bytes::from(random(3 << 20));
    assert_eq!(push(app, &layer).await.unwrap(), Pushed::Uploaded);
    for length in [0, 1, 20 << 20] {
        let content = Bytes::from(random(length));
        let mut upload = app.upload_in_chunks(None).await.unwrap().unwrap();
        for piece in content.chunks(5_000_001) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        upload.finish(&Digest::sha256_of(&content)).await.unwrap();
        let found = app.blob_info(&Digest::sha256_of(&content)).await.unwrap().unwrap();
        assert_eq!(found.size_bytes, Some(length as u64));
    }
    let wrong =
        app.push_blob(&Digest::sha256_of(b"wrong"), 5, &BytesSource("right".into()), None).await.unwrap_err();
    assert_eq!(wrong.code(), "DIGEST_INVALID");
    layer
}

async fn push(app: &RepositoryClient, content: &Bytes) -> Result<Pushed, ClientError> {
    let source = BytesSource(content.clone());
    app.push_blob(&Digest::sha256_of(content), content.len() as u64, &source, None).await
}

fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::sha256_of(content), "size": content.len()})
}
