//! `Descriptor`: a reference to content by digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Digest;

/// What a manifest says of a content it refers to (OCI image-spec, `descriptor.md`).
///
/// Fields that the registry does not look at (`data`, extensions) are not kept: manifests are stored and served verbatim.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content. Some old tools leave it out of layers.
    #[serde(default)]
    pub media_type: String,
    /// The name of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// The type of an artifact, in the answer of the referrers API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Arbitrary metadata.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where else the content may be fetched.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// For children of an index: what they run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on (OCI image-spec, `image-index.md`), as far as the registry looks at it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// The processor, in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, in Go's words.
    #[serde(default)]
    pub os: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Go writes an absent list or map as `null`.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
