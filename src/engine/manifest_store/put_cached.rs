//! Putting into a cache: stores a manifest of another registry before its content, which is fetched when clients ask.

use bytes::Bytes;

use super::commit::{NewManifest, Origin};
use super::references::References;
use super::{ManifestStore, Stored};
use crate::oci::{Digest, Manifest, Tag};
use crate::{Error, Result};

/// A manifest of another registry.
#[derive(Clone, Debug)]
pub struct CachedPut {
    /// The bytes.
    pub bytes: Bytes,
    /// The type that the other registry serves it as.
    pub media_type: String,
    /// The digest that the bytes must have.
    pub digest: Digest,
    /// The tags to set.
    pub tags: Vec<Tag>,
}

impl ManifestStore {
    /// Stores a manifest in a cache: bytes, then revision link, then tags. What it refers to may be missing, and the rules for
    /// pushes do not apply: the client that asked gets what the other registry has. No event. A manifest that was not here
    /// gets a mark: collections evict no other.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `ManifestInvalid`, `DigestMismatch`, `ReadOnly`, `Collecting`. The manifest is not stored then.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.put_cached",
        skip_all
    )]
    pub async fn put_cached(&self, put: CachedPut) -> Result<Stored> {
        let registry = &self.repository.registry;
        let _write = registry.begin_write()?;
        let CachedPut { bytes, media_type, digest, tags } = put;
        let (size_bytes, limit) = (bytes.len() as u64, registry.limits().manifest_size_bytes);
        if size_bytes > limit {
            return Err(Error::TooLarge { what: "manifest", limit });
        }
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != digest {
            return Err(Error::DigestMismatch { expected: digest, actual });
        }
        let canonical = if digest.is_canonical() { actual } else { Digest::sha256_of(&bytes) };
        let manifest = Manifest::parse(&bytes, Some(&media_type)).map_err(Error::ManifestInvalid)?;
        super::put::check_listed(&manifest).map_err(Error::ManifestInvalid)?;
        let references = References::none(&manifest);
        let new = NewManifest::new(&manifest, &bytes, &canonical, &digest, &references, Origin::Fetched);
        let tags: Vec<&Tag> = tags.iter().collect();
        self.store_and_tag(&new, &tags).await?;
        self.repository.tags().note_pushed_digest(&tags, &digest).await?;
        registry.cache_bytes().add(&self.repository.name, size_bytes);
        let media_type = self.note_stored(&canonical, &manifest, bytes.clone()).await;
        Ok(Stored { digest, media_type, bytes })
    }
}
