//! `KnownManifest`: the parts of a manifest that a listing needs, cached in memory.

use std::borrow::Cow;
use std::sync::Arc;

use sampan_driver::StorageDriverExt;
use serde::Deserialize;

use super::Referrers;
use crate::Result;
use crate::cache::{ByDigest, Content};
use crate::layout::Entry;
use crate::manifest_store::ManifestStore;
use crate::oci::{Descriptor, Digest, Manifest};

/// An attached manifest in a listing. Cloning is cheap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Referrer {
    /// The digest of the manifest.
    pub digest: Digest,
    json: Arc<str>,
}

/// The subject of a manifest, and the manifest's descriptor in listings.
#[derive(Clone, Debug)]
pub(crate) struct KnownManifest {
    subject: Option<Arc<Digest>>,
    /// The descriptor as JSON; empty without a subject.
    json: Arc<str>,
}

/// Known manifests by canonical digest. The content of a digest never changes, so entries never expire.
#[derive(Debug)]
pub(crate) struct KnownManifests(ByDigest<KnownManifest>);

/// The size of the cache.
const MAX_BYTES: u64 = 16 << 20;

/// Clients choose the length of annotations. Longer entries are not cached but read again on each request.
const MAX_ENTRY_BYTES: usize = 16 << 10;

impl Referrer {
    /// A manifest in a listing of another registry.
    pub fn of(descriptor: &Descriptor) -> Self {
        // Strings, numbers and maps of strings always serialize.
        let json = serde_json::to_string(descriptor).unwrap_or_default();
        Self { digest: descriptor.digest.clone(), json: json.into() }
    }

    /// The descriptor as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The descriptor.
    #[expect(clippy::expect_used, reason = "the text was made from a descriptor")]
    pub fn descriptor(&self) -> Descriptor {
        serde_json::from_str(&self.json).expect("invariant: a descriptor that was written can be read")
    }

    /// Whether the descriptor has this artifact type.
    pub fn has_type(&self, artifact_type: &str) -> bool {
        has_type(&self.json, artifact_type)
    }
}

impl Default for KnownManifests {
    fn default() -> Self {
        Self(ByDigest::new(MAX_BYTES))
    }
}

impl KnownManifests {
    fn insert(&self, canonical: &Digest, known: &KnownManifest) {
        if known.json.len() <= MAX_ENTRY_BYTES {
            self.0.insert(canonical, known);
        }
    }
}

impl KnownManifest {
    fn of(canonical: &Digest, manifest: &Manifest, size_bytes: u64) -> Self {
        let Some(subject) = &manifest.subject else {
            return Self { subject: None, json: "".into() };
        };
        let Referrer { json, .. } = Referrer::of(&Descriptor {
            media_type: manifest.kind.media_type().to_owned(),
            digest: canonical.clone(),
            size: size_bytes,
            artifact_type: manifest.effective_artifact_type().map(str::to_owned),
            annotations: manifest.annotations.clone(),
            urls: Vec::new(),
            platform: None,
        });
        Self { subject: Some(Arc::new(subject.digest.clone())), json }
    }

    pub(super) fn subject(&self) -> Option<&Digest> {
        self.subject.as_deref()
    }

    pub(super) fn has_type(&self, artifact_type: &str) -> bool {
        has_type(&self.json, artifact_type)
    }

    pub(super) fn into_referrer(self, digest: Digest) -> Referrer {
        Referrer { digest, json: self.json }
    }
}

impl Content for KnownManifest {
    fn size_bytes(&self) -> usize {
        self.json.len() + self.subject.as_ref().map_or(0, |subject| subject.hex().len())
    }

    fn copied(&self) -> Self {
        self.clone()
    }
}

impl Referrers {
    /// Caches a manifest that was just read or stored.
    pub(crate) fn remember(&self, canonical: &Digest, manifest: &Manifest, size_bytes: u64) -> KnownManifest {
        let known = KnownManifest::of(canonical, manifest, size_bytes);
        self.cache().insert(canonical, &known);
        known
    }

    /// The known parts of a manifest, if they are in memory.
    pub(super) fn remembered(&self, digest: &Digest) -> Option<KnownManifest> {
        self.cache().0.get(digest)
    }

    /// The known parts of a manifest; `None` when it is gone or unreadable.
    pub(super) async fn known(&self, digest: &Digest) -> Result<Option<KnownManifest>> {
        if let Some(known) = self.remembered(digest) {
            return Ok(Some(known));
        }
        let path = Entry::Blob(digest.clone()).path();
        let Some(bytes) = self.driver().get_content_if_any(&path).await? else { return Ok(None) };
        match ManifestStore::verify(&path, digest, &bytes) {
            Ok(manifest) => Ok(Some(self.remember(digest, &manifest, bytes.len() as u64))),
            Err(error) => {
                tracing::warn!(repository = %self.repository.name, %digest, %error, "{digest} is left out of the referrers");
                Ok(None)
            }
        }
    }

    fn cache(&self) -> &KnownManifests {
        &self.repository.registry.inner.known_manifests
    }
}

/// Whether a descriptor has this artifact type. Parses no other field.
fn has_type(json: &str, artifact_type: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "artifactType")]
        artifact_type: Option<Cow<'a, str>>,
    }
    let typed = serde_json::from_str(json);
    typed.is_ok_and(|Typed { artifact_type: found }| found.as_deref() == Some(artifact_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(artifact_type: Option<&str>) -> Referrer {
        let json = format!(r#"{{"mediaType":"a/b","digest":"{}","size":1}}"#, Digest::sha256_of(b""));
        let descriptor: Descriptor = serde_json::from_str(&json).unwrap();
        Referrer::of(&Descriptor { artifact_type: artifact_type.map(str::to_owned), ..descriptor })
    }

    #[test]
    fn a_type_is_found_however_it_is_written() {
        for kind in ["application/vnd.a+json", "\"\\\u{1}", "ä"] {
            assert!(referrer(Some(kind)).has_type(kind), "{kind}");
            assert!(!referrer(Some(kind)).has_type("x") && !referrer(None).has_type(kind), "{kind}");
        }
    }

    /// The largest accepted and the largest cached entries.
    #[test]
    fn what_clients_push_is_kept_within_a_bound() {
        let known = KnownManifests::default();
        let digests: Vec<Digest> = (0..3000_u32).map(|n| Digest::sha256_of(&n.to_be_bytes())).collect();
        for (number, digest) in digests.iter().enumerate() {
            let length = if number % 2 == 0 { crate::MAX_LISTED_BYTES } else { MAX_ENTRY_BYTES };
            known.insert(digest, &KnownManifest { subject: None, json: "x".repeat(length).into() });
        }
        let kept: Vec<_> = digests.iter().filter_map(|digest| known.0.get(digest)).collect();
        let bytes: usize = kept.iter().map(|known| known.json.len()).sum();
        assert!(bytes as u64 <= MAX_BYTES, "{bytes} bytes are kept");
        assert!(bytes as u64 > MAX_BYTES / 2, "{bytes} bytes are kept of {MAX_BYTES}");
        assert!(kept.iter().all(|known| known.json.len() <= MAX_ENTRY_BYTES));
    }

    #[test]
    fn a_descriptor_comes_back_as_it_was() {
        let referrer = referrer(Some("a/b"));
        assert_eq!(Referrer::of(&referrer.descriptor()), referrer);
    }
}
