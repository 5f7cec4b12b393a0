//! `PlannedContent`: one manifest or blob of a bundle.

use sampan_engine::oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

/// The kind of some content.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ContentKind {
    /// A manifest or index.
    #[serde(rename = "m")]
    Manifest,
    /// A blob.
    #[serde(rename = "b")]
    Blob,
}

/// Content that a bundle carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedContent {
    /// The digest by which manifests refer to the content.
    pub digest: Digest,
    /// The length in bytes.
    pub size_bytes: u64,
    /// The kind: a manifest if any repository of the bundle has it as one.
    pub kind: ContentKind,
}

impl PlannedContent {
    /// The path of the content in an image layout (OCI image-spec, `image-layout.md`, "Blobs").
    pub fn path(&self) -> String {
        path_of(&self.digest)
    }
}

/// Content that a bundle leaves out because the far side has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presumed {
    /// The digest by which manifests refer to the content.
    pub digest: Digest,
    /// The length in bytes.
    pub size_bytes: u64,
    /// The kind.
    pub kind: ContentKind,
    /// Repositories of the far side that have the content.
    pub repositories: Vec<RepositoryName>,
}

/// The path of content in an image layout.
pub(crate) fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
