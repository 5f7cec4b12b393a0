//! `ImportReport`: what an import did.

use sampan_engine::oci::Digest;
use serde::Serialize;

use crate::PruneReport;

/// The result of an import.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// The number of images that were stored or got a tag.
    pub imported: u64,
    /// The number of images that were there already.
    pub unchanged: u64,
    /// The number of blobs that were stored.
    pub stored_blobs: u64,
    /// Their length in bytes.
    pub stored_bytes: u64,
    /// The number of blobs that were there already.
    pub present_blobs: u64,
    /// The tags that moved from another image, or would have.
    pub moved_tags: Vec<TagChange>,
    /// The images that were not imported.
    pub failures: Vec<Failure>,
    /// The tags that the bundle does not have, if the import was to find or remove them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneReport>,
    /// What the registry is known to have after the import, as sorted lines of an [inventory](crate::inventory).
    #[serde(skip)]
    pub receipt: Vec<String>,
}

/// A tag that was there with another digest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TagChange {
    /// The tag with its repository, such as `team/app:latest`.
    pub tag: String,
    /// The digest in the bundle.
    pub to: Digest,
    /// The digest in the registry.
    pub from: Digest,
    /// Whether the tag was left as it is.
    pub kept: bool,
}

/// An image that was not imported.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// The image.
    pub image: String,
    /// The problem.
    pub problem: String,
    /// Whether the bundle is damaged there.
    #[serde(skip)]
    pub is_damage: bool,
}
