//! Putting: a manifest is stored when everything that it refers to is there.

use bytes::Bytes;

use super::ManifestStore;
use super::references::References;
use crate::cache::CachedManifest;
use crate::descriptors::CachedDescriptor;
use crate::layout::Entry;
use crate::oci::{Digest, Manifest, Reference, Tag};
use crate::promise::{Hold, Renewal};
use crate::{Error, Happening, Result, ToldManifest, link};

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
        let told = self.repository.has_listener().then(|| put.bytes.clone());
        let manifest =
            Manifest::parse(&put.bytes, put.media_type.as_deref()).map_err(Error::ManifestInvalid)?;
        self.store(&manifest, &put.bytes, &canonical, &digest).await?;
        self.repository.referrers().remember(&canonical, &manifest, size_bytes);
        registry.inner.manifests.insert(&canonical, CachedManifest { kind: manifest.kind, bytes: put.bytes });
        self.note(&canonical, CachedDescriptor { kind: manifest.kind, size_bytes }).await;

        for tag in put.reference.tag().into_iter().chain(&put.tags) {
            self.repository.tags().point(tag, &canonical).await?;
        }
        if let Some(bytes) = told {
            let tags = put.tags.iter().chain(put.reference.tag());
            self.tell_pushed(&digest, manifest.kind.media_type(), &bytes, tags);
        }
        Ok(PutOutcome { digest, subject: manifest.subject.map(|subject| subject.digest), tags: put.tags })
    }

    /// Writes data and revision links as soon as everything is there, and out of the collector's hands.
    async fn store(
        &self,
        manifest: &Manifest,
        bytes: &Bytes,
        canonical: &Digest,
        digest: &Digest,
    ) -> Result<()> {
        let name = &self.repository.name;
        let references = References::of(manifest, &self.repository.registry.inner.validation)?;
        let hold = Hold::new();
        let mut slow = false;
        loop {
            // When it is known that there is no run, and still is not too long ago at the end, nothing can have vanished.
            let before = self.promises().look(self.driver()).await?;
            let renewal = match slow {
                true => Renewal::Everything,
                false => self.promises().renewal(self.driver()).await?,
            };
            // The tokens first, then the look, then the last sight.
            let canonicals = references.check(self, renewal, &before).await?;
            self.store_data(canonical, bytes, renewal).await?;
            if !before.is_fresh() {
                let look = self.promises().look(self.driver()).await?;
                let doomed = |digest: &&Digest| {
                    look.doomed.has_blob(name, digest) || look.doomed.has_manifest(name, digest)
                };
                if let Some(doomed) = canonicals.iter().chain([canonical]).find(doomed) {
                    hold.wait(doomed).await?;
                    continue;
                }
                references.check(self, Renewal::Nothing, &look).await?;
                if !self.promises().has_data(self.driver(), canonical, &look).await? {
                    hold.wait(canonical).await?;
                    continue;
                }
                if renewal == Renewal::Nothing && !look.is_fresh() {
                    // A run may have begun that has not seen any of this.
                    slow = true;
                    continue;
                }
            }
            if digest != canonical {
                let alias = Entry::RevisionLink(name.clone(), digest.clone());
                link::write(self.driver(), &alias, canonical).await?;
            }
            let revision = Entry::RevisionLink(name.clone(), canonical.clone());
            link::write(self.driver(), &revision, canonical).await?;
            if before.is_fresh() {
                return Ok(());
            }
            // The collector may have doomed the very link, of a manifest that nothing referred to.
            let look = self.promises().look(self.driver()).await?;
            if !look.doomed.has_manifest(name, canonical) && self.contains(digest).await? {
                return Ok(());
            }
            hold.wait(canonical).await?;
        }
    }

    /// Tells of a manifest once for each of its tags, since an event has one; and once if there is none.
    fn tell_pushed<'a>(
        &self,
        digest: &Digest,
        media_type: &'static str,
        bytes: &Bytes,
        tags: impl Iterator<Item = &'a Tag>,
    ) {
        let mut tags: Vec<Option<Tag>> = tags.cloned().map(Some).collect();
        tags.dedup();
        if tags.is_empty() {
            tags.push(None);
        }
        for tag in tags {
            let (digest, bytes) = (digest.clone(), bytes.clone());
            self.repository
                .tell(|| Happening::ManifestPushed(ToldManifest { digest, media_type, bytes, tag }));
        }
    }
}
