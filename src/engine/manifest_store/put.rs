//! Putting: stores a manifest once everything that it refers to exists.

use bytes::Bytes;

use super::ManifestStore;
use super::commit::{NewManifest, Origin};
use super::references::References;
use crate::cache::CachedManifest;
use crate::descriptors::CachedDescriptor;
use crate::oci::{Digest, Manifest, ManifestProblem, MediaType, Reference, Tag};
use crate::referrers::MAX_LISTED_BYTES;
use crate::tag_removal::Stale;
use crate::{Error, EventKind, ManifestEvent, Result};

/// A manifest to store.
#[derive(Clone, Debug)]
pub struct PutManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// The `Content-Type` of the request; without it, the bytes name their type.
    pub media_type: Option<String>,
    /// The tag to set, or the expected digest.
    pub reference: Reference,
    /// Further tags to set.
    pub tags: Vec<Tag>,
    /// References that may be missing: an import knows what its bundle leaves out.
    pub left_out: Vec<Digest>,
}

/// A stored manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PutOutcome {
    /// The digest of the request, else the canonical one.
    pub digest: Digest,
    /// The manifest that it is attached to.
    pub subject: Option<Digest>,
    /// The tags that this call set.
    pub tags: Vec<Tag>,
}

/// The parts that a deletion removed during a push.
enum Loss {
    /// A tag.
    Tag,
    /// The link to the manifest.
    Manifest,
}

/// Checks that every list of the subject can carry the manifest's annotations and artifact type.
pub(super) fn check_listed(manifest: &Manifest) -> Result<(), ManifestProblem> {
    let annotations = manifest.annotations.iter().map(|(key, value)| key.len() + value.len());
    let artifact_type = manifest.effective_artifact_type().map_or(0, str::len);
    let size_bytes = annotations.sum::<usize>() + artifact_type;
    match manifest.subject.is_some() && size_bytes > MAX_LISTED_BYTES {
        true => Err(ManifestProblem::ListingTooLarge { size_bytes, limit: MAX_LISTED_BYTES }),
        false => Ok(()),
    }
}

/// After this number of rounds that deletions undid, the client must retry later.
const MAX_ROUNDS: usize = 16;

impl ManifestStore {
    /// Stores a manifest once everything that it refers to exists: bytes, then revision link, then tags.
    ///
    /// No collection deletes the references meanwhile, even if they were garbage until now.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `ManifestInvalid`, `DigestMismatch`, `ManifestReferencesUnknown` with every missing digest, `Denied`,
    /// `ReadOnly`, `Collecting` when the collector is about to delete a reference and takes too long. The manifest is not
    /// stored then.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.manifest.put", skip_all)]
    pub async fn put(&self, put: PutManifest) -> Result<PutOutcome> {
        self.put_from(put, Origin::Pushed).await
    }

    /// As [`put`](Self::put), for a manifest that a schedule copies from another registry into its cache: a collection may
    /// evict it, unless it was here before.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn put_fetched(&self, put: PutManifest) -> Result<PutOutcome> {
        self.put_from(put, Origin::Fetched).await
    }

    async fn put_from(&self, put: PutManifest, origin: Origin) -> Result<PutOutcome> {
        let registry = &self.repository.registry;
        let _write = registry.begin_write()?;
        let (size_bytes, limit) = (put.bytes.len() as u64, registry.limits().manifest_size_bytes);
        if size_bytes > limit {
            return Err(Error::TooLarge { what: "manifest", limit });
        }
        let canonical = Digest::sha256_of(&put.bytes);
        let digest = match &put.reference {
            Reference::Tag(_) => canonical.clone(),
            Reference::Digest(expected) => match Digest::of(expected.algorithm(), &put.bytes) {
                actual if actual == *expected => actual,
                actual => return Err(Error::DigestMismatch { expected: expected.clone(), actual }),
            },
        };
        let told = self.repository.has_sink().then(|| put.bytes.clone());
        let manifest =
            Manifest::parse_pushed(&put.bytes, put.media_type.as_deref()).map_err(Error::ManifestInvalid)?;
        check_listed(&manifest).map_err(Error::ManifestInvalid)?;
        let tags: Vec<&Tag> = put.reference.tag().into_iter().chain(&put.tags).collect();
        let references = References::of(&manifest, &registry.inner.validation, &put.left_out)?;
        let new = NewManifest::new(&manifest, &put.bytes, &canonical, &digest, &references, origin);
        self.store_and_tag(&new, &tags).await?;
        self.repository.tags().note_pushed_digest(&tags, &digest).await?;
        let media_type = self.note_stored(&canonical, &manifest, put.bytes).await;

        if let Some(bytes) = told {
            let tags = put.tags.iter().chain(put.reference.tag());
            self.tell_pushed(&digest, &media_type, &bytes, tags);
        }
        Ok(PutOutcome { digest, subject: manifest.subject.map(|subject| subject.digest), tags: put.tags })
    }

    /// Tells the caches of a stored manifest. Returns its type.
    pub(super) async fn note_stored(
        &self,
        canonical: &Digest,
        manifest: &Manifest,
        bytes: Bytes,
    ) -> MediaType {
        let registry = &self.repository.registry;
        let (media_type, size_bytes) = (MediaType::from(manifest.kind), bytes.len() as u64);
        if manifest.subject.is_some() {
            self.repository.referrers().remember(canonical, manifest, size_bytes);
        }
        let cached = CachedManifest { media_type: media_type.clone(), bytes };
        registry.inner.manifests.insert(canonical, &cached);
        self.note(canonical, CachedDescriptor { media_type: media_type.clone(), size_bytes }).await;
        media_type
    }

    /// Stores the manifest and then sets the tags; repeats this when a deletion removed one of them meanwhile.
    pub(super) async fn store_and_tag(&self, new: &NewManifest<'_>, tags: &[&Tag]) -> Result<()> {
        let (canonical, digest) = (new.canonical, new.digest);
        self.store(new).await?;
        for _ in 0..MAX_ROUNDS {
            self.repository.tags().point(tags, canonical).await?;
            match self.find_loss(canonical, digest, tags).await? {
                None => return Ok(()),
                Some(Loss::Tag) => {}
                Some(Loss::Manifest) => match self.store(new).await {
                    Ok(()) => {}
                    // A reference was deleted after the manifest: equivalent to all these deletions coming after the push.
                    Err(Error::ManifestReferencesUnknown(_)) => {
                        return self.remove_dangling(tags, canonical).await;
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Err(Error::Collecting(digest.clone()))
    }

    /// Removes tags of a manifest that was deleted, also if the client of the push leaves.
    async fn remove_dangling(&self, tags: &[&Tag], canonical: &Digest) -> Result<()> {
        let tags: Vec<Tag> = tags.iter().map(|tag| (*tag).clone()).collect();
        let (store, canonical) = (self.repository.tags(), canonical.clone());
        let removal = async move {
            for tag in &tags {
                store.remove_if(tag, Stale::PointsAtDeleted(&canonical)).await?;
            }
            Ok(())
        };
        self.repository.registry.remove_tag(removal).await
    }

    /// Checks that tags and link still exist after both were written.
    async fn find_loss(&self, canonical: &Digest, digest: &Digest, tags: &[&Tag]) -> Result<Option<Loss>> {
        if tags.is_empty() {
            return Ok(None);
        }
        let mut loss = None;
        self.repository.tags().wait_for_removals(tags, canonical).await?;
        for tag in tags {
            if !self.repository.tags().is_there(tag).await? {
                loss = Some(Loss::Tag);
            }
        }
        match self.resolve(&Reference::Digest(digest.clone())).await {
            Ok(_) => Ok(loss),
            Err(Error::ManifestUnknown(..)) => Ok(Some(Loss::Manifest)),
            Err(error) => Err(error),
        }
    }

    /// Emits one event per tag, since an event has one tag; one event if there are no tags.
    fn tell_pushed<'a>(
        &self,
        digest: &Digest,
        media_type: &MediaType,
        bytes: &Bytes,
        tags: impl Iterator<Item = &'a Tag>,
    ) {
        let mut tags: Vec<Option<Tag>> = tags.cloned().map(Some).collect();
        tags.dedup();
        if tags.is_empty() {
            tags.push(None);
        }
        for tag in tags {
            let (digest, media_type, bytes) = (digest.clone(), media_type.clone(), bytes.clone());
            self.repository
                .emit(|| EventKind::ManifestPushed(ManifestEvent { digest, media_type, bytes, tag }));
        }
    }
}
