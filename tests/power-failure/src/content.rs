//! Blobs and manifests whose bytes follow from a few numbers, so that a ledger stays small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes that follow from a seed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Blob {
    pub(crate) seed: u64,
    pub(crate) len: usize,
}

impl Blob {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut state = self.seed;
        let mut bytes = Vec::with_capacity(self.len + 8);
        while bytes.len() < self.len {
            bytes.extend_from_slice(&mix(&mut state).to_le_bytes());
        }
        bytes.truncate(self.len);
        bytes
    }
}

/// A step of SplitMix64.
pub(crate) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `sha256:…` of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The content under a digest.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Content {
    Blob(Blob),
    Manifest(Manifest),
}

/// An image or an index.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    pub(crate) text: String,
    pub(crate) media_type: String,
    /// Digests of the configuration and the layers.
    pub(crate) blobs: Vec<String>,
    /// Digests of the manifests of an index.
    pub(crate) children: Vec<String>,
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Every pushed blob and manifest, by digest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Library(BTreeMap<String, Content>);

impl Library {
    pub(crate) fn add_blob(&mut self, blob: Blob) -> String {
        let digest = digest(&blob.bytes());
        self.0.insert(digest.clone(), Content::Blob(blob));
        digest
    }

    /// An image of a configuration and layers that are in the library.
    pub(crate) fn add_image(&mut self, config: &str, layers: &[String]) -> String {
        let descriptor = |media_type: &str, digest: &str| {
            let size = self.bytes(digest).len();
            serde_json::json!({"mediaType": media_type, "digest": digest, "size": size})
        };
        let layers_json: Vec<_> = layers
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .collect();
        let text = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers_json,
        });
        let blobs = std::iter::once(config.to_owned()).chain(layers.iter().cloned()).collect();
        self.add_manifest(text.to_string(), IMAGE, blobs, Vec::new())
    }

    /// An index of images that are in the library.
    pub(crate) fn add_index(&mut self, children: &[String]) -> String {
        let manifests: Vec<_> = children
            .iter()
            .enumerate()
            .map(|(number, child)| {
                serde_json::json!({
                    "mediaType": IMAGE,
                    "digest": child,
                    "size": self.bytes(child).len(),
                    "platform": {"os": "linux", "architecture": format!("a{number}")},
                })
            })
            .collect();
        let text = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.add_manifest(text.to_string(), INDEX, Vec::new(), children.to_vec())
    }

    fn add_manifest(
        &mut self,
        text: String,
        media_type: &str,
        blobs: Vec<String>,
        children: Vec<String>,
    ) -> String {
        let digest = digest(text.as_bytes());
        let manifest = Manifest { text, media_type: media_type.to_owned(), blobs, children };
        self.0.insert(digest.clone(), Content::Manifest(manifest));
        digest
    }

    pub(crate) fn bytes(&self, digest: &str) -> Vec<u8> {
        match &self.0[digest] {
            Content::Blob(blob) => blob.bytes(),
            Content::Manifest(manifest) => manifest.text.clone().into_bytes(),
        }
    }

    pub(crate) fn manifest(&self, digest: &str) -> Option<&Manifest> {
        match self.0.get(digest) {
            Some(Content::Manifest(manifest)) => Some(manifest),
            _ => None,
        }
    }

    /// The digests of all manifests.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, content)| matches!(content, Content::Manifest(_))).map(|(digest, _)| digest)
    }

    /// A manifest and everything below it: manifests first, then blobs.
    pub(crate) fn closure(&self, digest: &str) -> (Vec<String>, Vec<String>) {
        let (mut manifests, mut blobs) = (vec![digest.to_owned()], Vec::new());
        if let Some(manifest) = self.manifest(digest) {
            blobs.extend(manifest.blobs.iter().cloned());
            for child in &manifest.children {
                let (more, below) = self.closure(child);
                manifests.extend(more);
                blobs.extend(below);
            }
        }
        (manifests, blobs)
    }
}
