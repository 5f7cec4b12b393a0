//! Putting: a manifest is stored when everything that it refers to is there.

use bytes::Bytes;

use super::ManifestStore;
use crate::cache::CachedManifest;
use crate::descriptors::CachedDescriptor;
use crate::oci::{Digest, Manifest, ManifestProblem, MediaType, Reference, Tag};
use crate::referrers::MAX_LISTED_BYTES;
use crate::tag_removal::Stale;
use crate::{Error, EventKind, ManifestEvent, Result};

/// A manifest to be stored.
#[derive(Clone, Debug)]
pub struct PutManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// What the client says they are; the bytes themselves say it otherwise.
    pub media_type: Option<String>,
    /// The tag that is to point at it, or the digest that it must have.
    pub reference: Reference,
    /// Further tags that are to point at it.
    pub tags: Vec<Tag>,
}

/// A manifest that was stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PutOutcome {
    /// Its digest: the one given, else the canonical one.
    pub digest: Digest,
    /// What it is attached to.
    pub subject: Option<Digest>,
    /// The tags that point at it now because of this call.
    pub tags: Vec<Tag>,
}

/// What a deletion took away from a push that was under way.
enum Loss {
    /// A tag.
    Tag,
    /// The link to the manifest.
    Manifest,
}

/// Sees that every list of the subject can carry what the manifest says of itself.
fn check_listed(manifest: &Manifest) -> Result<(), ManifestProblem> {
    let annotations = manifest.annotations.iter().map(|(key, value)| key.len() + value.len());
    let artifact_type = manifest.effective_artifact_type().map_or(0, str::len);
    let size_bytes = annotations.sum::<usize>() + artifact_type;
    match manifest.subject.is_some() && size_bytes > MAX_LISTED_BYTES {
        true => Err(ManifestProblem::ListingTooLarge { size_bytes, limit: MAX_LISTED_BYTES }),
        false => Ok(()),
    }
}

/// A push that deletions undo more often than this is to be tried again later.
const MOST_ROUNDS: usize = 16;

impl ManifestStore {
    /// Stores a manifest when everything it refers to is there: its bytes, its revision link, its tags, in this order.
    ///
    /// What it refers to stays there meanwhile, although it may have been garbage until now.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `ManifestInvalid`, `DigestMismatch`, `ManifestReferencesUnknown` with all that is missing, `Denied`,
    /// `ReadOnly`, `Collecting` when the collector is about to delete what it needs, and takes too long. It is not stored then.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.manifest.put", skip_all)]
    pub async fn put(&self, put: PutManifest) -> Result<PutOutcome> {
        let registry = &self.repository.registry;
        registry.check_writable()?;
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
        self.store_and_tag(&manifest, &put.bytes, &canonical, &digest, &tags).await?;
        self.repository.tags().note_pushed_digest(&tags, &digest).await?;
        if manifest.subject.is_some() {
            self.repository.referrers().remember(&canonical, &manifest, size_bytes);
        }
        let media_type = MediaType::from(manifest.kind);
        let cached = CachedManifest { media_type: media_type.clone(), bytes: put.bytes };
        registry.inner.manifests.insert(&canonical, &cached);
        self.note(&canonical, CachedDescriptor { media_type: media_type.clone(), size_bytes }).await;

        if let Some(bytes) = told {
            let tags = put.tags.iter().chain(put.reference.tag());
            self.tell_pushed(&digest, &media_type, &bytes, tags);
        }
        Ok(PutOutcome { digest, subject: manifest.subject.map(|subject| subject.digest), tags: put.tags })
    }

    /// Stores the manifest and then sets the tags; again, when a deletion took one of them away meanwhile.
    async fn store_and_tag(
        &self,
        manifest: &Manifest,
        bytes: &Bytes,
        canonical: &Digest,
        digest: &Digest,
        tags: &[&Tag],
    ) -> Result<()> {
        self.store(manifest, bytes, canonical, digest).await?;
        for _ in 0..MOST_ROUNDS {
            for tag in tags {
                self.repository.tags().point(tag, canonical).await?;
            }
            match self.find_loss(canonical, digest, tags).await? {
                None => return Ok(()),
                Some(Loss::Tag) => {}
                Some(Loss::Manifest) => match self.store(manifest, bytes, canonical, digest).await {
                    Ok(()) => {}
                    // What it refers to was deleted after it: that is as if all of this had come after the push.
                    Err(Error::ManifestReferencesUnknown(_)) => {
                        for tag in tags {
                            self.repository.tags().remove_if(tag, Stale::PointsAtDeleted(canonical)).await?;
                        }
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Err(Error::Collecting(digest.clone()))
    }

    /// Looks whether tags and link are still there, now that both were written.
    async fn find_loss(&self, canonical: &Digest, digest: &Digest, tags: &[&Tag]) -> Result<Option<Loss>> {
        if tags.is_empty() {
            return Ok(None);
        }
        let mut loss = None;
        self.repository.tags().outwait_removals(tags, canonical).await?;
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

    /// Tells of a manifest once for each of its tags, since an event has one; and once if there is none.
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
