//! Content to push.

use axum::body::Bytes;
use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::Answer;
use super::server::Server;

/// `len` pseudo-random bytes.
pub(crate) fn noise(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(len).collect::<Vec<u8>>().into()
}

/// A descriptor of content for a manifest.
pub(crate) fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::sha256_of(content).to_string(), "size": content.len() })
}

/// An OCI image manifest over a config and one layer.
pub(crate) fn manifest(config: &[u8], layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
}

impl Server {
    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, name: &str, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::sha256_of(&content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        self.call("POST", path).body(content).send().await.expect(201);
        digest
    }

    /// Pushes a manifest with its own media type.
    pub(crate) async fn put_manifest(&self, name: &str, reference: &str, manifest: &Value) -> Answer {
        let kind = manifest["mediaType"].as_str().unwrap();
        let path = format!("/v2/{name}/manifests/{reference}");
        self.call("PUT", path).header("content-type", kind).body(manifest.to_string()).send().await
    }

    /// Pushes a whole image; `seed` distinguishes images. Returns the manifest's bytes.
    pub(crate) async fn push_image(&self, name: &str, reference: &str, seed: &str) -> Bytes {
        let config = format!(r#"{{"seed":"{seed}"}}"#);
        self.push_blob(name, config.clone()).await;
        self.push_blob(name, "layer").await;
        let manifest = manifest(config.as_bytes(), b"layer");
        self.put_manifest(name, reference, &manifest).await.expect(201);
        manifest.to_string().into()
    }

    /// Begins an upload and returns the path of its session.
    pub(crate) async fn start_upload(&self, name: &str) -> String {
        self.call("POST", format!("/v2/{name}/blobs/uploads/")).send().await.expect(202).location_path()
    }
}
