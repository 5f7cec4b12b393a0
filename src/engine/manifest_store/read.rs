//! Reading: by tag or digest, with the bytes or without.

use bytes::Bytes;
use sampan_driver::{DriverPath, StorageDriverExt};

use super::ManifestStore;
use crate::cache::CachedManifest;
use crate::descriptors::CachedDescriptor;
use crate::layout::Entry;
use crate::oci::{Digest, Manifest, MediaType, Reference, Tag};
use crate::{Error, EventKind, ManifestEvent, Result};

/// An existing manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The digest of the request, or the canonical one of the tag's target.
    pub digest: Digest,
    /// The media type.
    pub media_type: MediaType,
    /// The bytes as pushed, compared with their digest.
    pub bytes: Bytes,
}

/// An existing manifest without its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredInfo {
    /// The digest of the request, or the canonical one of the tag's target.
    pub digest: Digest,
    /// The media type.
    pub media_type: MediaType,
    /// The length in bytes.
    pub size_bytes: u64,
}

impl ManifestStore {
    /// Reads the manifest of a tag or digest.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; `Corrupt` when the stored bytes do not match their digest.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.manifest.get", skip_all)]
    pub async fn get(&self, reference: &Reference) -> Result<Stored> {
        let found = self.resolve(reference).await?;
        self.pull(reference, found).await
    }

    /// Reads the manifest of a tag that points at `digest`; `None` if it points elsewhere.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.manifest.get", skip_all)]
    pub async fn get_tagged(&self, tag: &Tag, digest: &Digest) -> Result<Option<Stored>> {
        let reference = Reference::Tag(tag.clone());
        let found = self.resolve(&reference).await?;
        match found.0 == *digest {
            true => self.pull(&reference, found).await.map(Some),
            false => Ok(None),
        }
    }

    async fn pull(&self, reference: &Reference, found: (Digest, Digest)) -> Result<Stored> {
        let stored = self.stored(reference, found).await?;
        self.tell_pulled(reference, &stored);
        Ok(stored)
    }

    /// Like [`get`](Self::get), but emits no event.
    pub(crate) async fn fetch(&self, reference: &Reference) -> Result<Stored> {
        let found = self.resolve(reference).await?;
        self.stored(reference, found).await
    }

    /// Reads the manifest that a reference resolves to.
    async fn stored(&self, reference: &Reference, (digest, canonical): (Digest, Digest)) -> Result<Stored> {
        let CachedManifest { media_type, bytes } = self.read(reference, &canonical).await?;
        Ok(Stored { digest, media_type, bytes })
    }

    /// The digest of a tag's or digest's manifest, as [`get`](Self::get) would say it, without reading the manifest.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; any error of the store.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest> {
        Ok(self.resolve(reference).await?.0)
    }

    /// Describes the manifest without its bytes. By digest, this grants a lease: the manifest stays for at least half the
    /// grace period. By tag, it stays as long as the tag.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); `ManifestUnknown` also when a collection is about to delete the manifest.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.stat",
        skip_all
    )]
    pub async fn stat(&self, reference: &Reference) -> Result<StoredInfo> {
        let info = self.describe_and_lease(reference).await?;
        if self.repository.has_sink()
            && let Ok(stored) = self.fetch(reference).await
        {
            self.tell_pulled(reference, &stored);
        }
        Ok(info)
    }

    async fn describe_and_lease(&self, reference: &Reference) -> Result<StoredInfo> {
        let (digest, canonical) = self.resolve(reference).await?;
        let CachedDescriptor { media_type, size_bytes } = self.describe(reference, &canonical).await?;
        let info = StoredInfo { digest, media_type, size_bytes };
        if matches!(reference, Reference::Tag(_)) || self.repository.registry.limits().read_only {
            return Ok(info);
        }
        let renewal = self.leases().renewal(self.driver()).await?;
        let renewed = self.renew(&canonical, renewal).await?;
        if renewed || self.leases().is_collecting(self.driver()).await? {
            let look = self.leases().check_pending(self.driver()).await?;
            let pending = look.pending.has_manifest(&self.repository.name, &canonical);
            if pending || !self.contains(&canonical).await? {
                return Err(Error::ManifestUnknown(reference.clone(), self.repository.name.clone()));
            }
        }
        Ok(info)
    }

    /// Parses stored bytes as one of the kinds of manifest that clients can push.
    pub(crate) fn verify(path: &DriverPath, canonical: &Digest, bytes: &[u8]) -> Result<Manifest> {
        check_digest(path, canonical, bytes)?;
        Manifest::parse(bytes, None).map_err(|problem| Error::Corrupt(path.clone(), problem.into()))
    }

    async fn read(&self, reference: &Reference, canonical: &Digest) -> Result<CachedManifest> {
        let cache = &self.repository.registry.inner.manifests;
        if let Some(manifest) = cache.get(canonical) {
            return Ok(manifest);
        }
        let path = Entry::Blob(canonical.clone()).path();
        let size_bytes = async {
            let info = self.driver().stat_if_any(&path).await?;
            Ok::<_, Error>(info.map_or(0, |info| info.size_bytes))
        };
        let _room = self.repository.registry.inner.loads.room(size_bytes).await?;
        // It may have been read meanwhile.
        if let Some(manifest) = cache.get(canonical) {
            return Ok(manifest);
        }
        // A power failure empties data that were never synced.
        let bytes = self.driver().get_content_if_any(&path).await?.filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else {
            tracing::error!(repository = %self.repository.name, %reference, %path, "the data of manifest {canonical} are missing: push the image again");
            return Err(Error::ManifestUnknown(reference.clone(), self.repository.name.clone()));
        };
        check_digest(&path, canonical, &bytes)?;
        let manifest = CachedManifest { media_type: MediaType::of_manifest(&bytes), bytes };
        cache.insert(canonical, &manifest);
        self.note(canonical, manifest.descriptor()).await;
        Ok(manifest)
    }

    /// Kind and size of a manifest of the repository, without reading its bytes if both are cached.
    async fn describe(&self, reference: &Reference, canonical: &Digest) -> Result<CachedDescriptor> {
        let inner = &self.repository.registry.inner;
        if let (None, Some(descriptors)) = (inner.manifests.get(canonical), &inner.descriptors)
            && let Some(known) = descriptors.get(canonical).await
        {
            return Ok(known);
        }
        Ok(self.read(reference, canonical).await?.descriptor())
    }

    pub(super) async fn note(&self, canonical: &Digest, descriptor: CachedDescriptor) {
        if let Some(descriptors) = &self.repository.registry.inner.descriptors {
            descriptors.put(canonical, descriptor).await;
        }
    }

    fn tell_pulled(&self, reference: &Reference, stored: &Stored) {
        self.repository.emit(|| {
            let Stored { digest, media_type, bytes } = stored.clone();
            let tag = reference.tag().cloned();
            EventKind::ManifestPulled(ManifestEvent { digest, media_type, bytes, tag })
        });
    }
}

/// Serve anything that matches its digest; a push, here or elsewhere, has checked that it is a valid manifest.
fn check_digest(path: &DriverPath, canonical: &Digest, bytes: &[u8]) -> Result<()> {
    match Digest::of(canonical.algorithm(), bytes) {
        actual if actual == *canonical => Ok(()),
        actual => Err(Error::Corrupt(path.clone(), format!("its content hashes to {actual}").into())),
    }
}
