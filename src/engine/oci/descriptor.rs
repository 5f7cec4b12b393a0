//! `Descriptor`: a reference to content by digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, ManifestKind};

/// A manifest's description of content that it refers to (OCI image-spec, `descriptor.md`).
///
/// It omits fields that the registry ignores (`data`, extensions); the store holds manifests verbatim.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content. Some old tools omit it from layers.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// The type of an artifact, in responses of the referrers API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Arbitrary metadata.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Further URLs of the content.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// For children of an index: their platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether a child of an index with this descriptor is a manifest, not a blob of a build cache.
    pub(crate) fn may_be_manifest(&self) -> bool {
        self.media_type.is_empty() || ManifestKind::from_media_type(&self.media_type).is_some()
    }
}

/// The platform of an image (OCI image-spec, `image-index.md`), as far as the registry reads it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// The processor architecture, as a `GOARCH` value.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, as a `GOOS` value.
    #[serde(default)]
    pub os: String,
    /// All other fields.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Platform {
    /// `os/architecture[/variant]`; `None` for `unknown`, which BuildKit gives to attestations, and as in
    /// [`platform_text`].
    pub fn text(&self) -> Option<String> {
        if self.os == "unknown" {
            return None;
        }
        let variant = self.rest.get("variant").and_then(Value::as_str);
        platform_text(&self.os, &self.architecture, variant)
    }
}

/// `os/architecture[/variant]`; `None` when a part is missing, or is no word that a terminal can show: the client that pushed
/// the image controls this text.
pub fn platform_text(os: &str, architecture: &str, variant: Option<&str>) -> Option<String> {
    let is_word = |text: &str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let variant = variant.filter(|variant| !variant.is_empty());
    let parts: Vec<&str> = [os, architecture].into_iter().chain(variant).collect();
    let is_valid = parts.iter().all(|part| !part.is_empty() && is_word(part));
    is_valid.then(|| parts.join("/"))
}

/// Go writes an absent list or map as `null`.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
