//! `ManifestStore`: the manifests of a repository, stored and served verbatim.
//!
//! Whoever is told that a manifest is here is made a promise, of which its data are the token: see [`promise`](crate::promise).

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverPath, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use crate::cache::CachedManifest;
use crate::descriptors::CachedDescriptor;
use crate::layout::{self, Entry};
use crate::oci::{Digest, Manifest, Reference, Tag};
use crate::promise::{Hold, Look, Promises, Renewal};
use crate::{Error, Happening, Repository, Result, ToldManifest, link};

/// The manifests of one repository.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    repository: Repository,
}

/// A manifest that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its digest: the one asked for, or the canonical one of what a tag points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes, as they were pushed; their digest was compared.
    pub bytes: Bytes,
}

/// The same without the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredInfo {
    /// Its digest: the one asked for, or the canonical one of what a tag points at.
    pub digest: Digest,
    /// Its media type.
    pub media_type: &'static str,
    /// Its length in bytes.
    pub size_bytes: u64,
}

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

/// How many blobs are looked for at a time.
const CONCURRENT_LOOKUPS: usize = 8;

impl ManifestStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// The manifest that a tag points at or a digest names.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; `Corrupt` when the stored bytes are not what their digest says.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.manifest.get", skip_all)]
    pub async fn get(&self, reference: &Reference) -> Result<Stored> {
        let stored = self.fetch(reference).await?;
        self.tell_pulled(reference, &stored);
        Ok(stored)
    }

    /// What [`get`](Self::get) does, of which nobody is told.
    pub(crate) async fn fetch(&self, reference: &Reference) -> Result<Stored> {
        let (digest, canonical) = self.resolve(reference).await?;
        let manifest = self.read(reference, &canonical).await?;
        Ok(Stored { digest, media_type: manifest.kind.media_type(), bytes: manifest.bytes })
    }

    /// The same without the bytes. A manifest that was asked for by digest will be here for half the grace period at least;
    /// one that was asked for by tag, as long as the tag.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); `ManifestUnknown` also when it is about to be collected.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.stat",
        skip_all
    )]
    pub async fn stat(&self, reference: &Reference) -> Result<StoredInfo> {
        let info = self.promise(reference).await?;
        if self.repository.has_listener()
            && let Ok(stored) = self.fetch(reference).await
        {
            self.tell_pulled(reference, &stored);
        }
        Ok(info)
    }

    async fn promise(&self, reference: &Reference) -> Result<StoredInfo> {
        let (digest, canonical) = self.resolve(reference).await?;
        let CachedDescriptor { kind, size_bytes } = self.describe(reference, &canonical).await?;
        let info = StoredInfo { digest, media_type: kind.media_type(), size_bytes };
        if matches!(reference, Reference::Tag(_)) || self.repository.registry.limits().read_only {
            return Ok(info);
        }
        let renewal = self.promises().renewal(self.driver()).await?;
        if self.renew(&canonical, renewal).await? {
            let look = self.promises().look(self.driver()).await?;
            let doomed = look.doomed.has_manifest(&self.repository.name, &canonical);
            if doomed || !self.contains(&canonical).await? {
                return Err(Error::ManifestUnknown(reference.clone(), self.repository.name.clone()));
            }
        }
        Ok(info)
    }

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

        if let Reference::Tag(tag) = &put.reference {
            self.repository.tags().point(tag, &canonical).await?;
        }
        for tag in &put.tags {
            self.repository.tags().point(tag, &canonical).await?;
        }
        if let Some(bytes) = told {
            let tag = match &put.reference {
                Reference::Tag(tag) => Some(tag),
                Reference::Digest(_) => None,
            };
            // An event has one tag; a manifest that was stored under several has several.
            let mut tags: Vec<Option<Tag>> = put.tags.iter().chain(tag).cloned().map(Some).collect();
            tags.dedup();
            if tags.is_empty() {
                tags.push(None);
            }
            for tag in tags {
                let (digest, media_type, bytes) = (digest.clone(), manifest.kind.media_type(), bytes.clone());
                self.repository
                    .tell(|| Happening::ManifestPushed(ToldManifest { digest, media_type, bytes, tag }));
            }
        }
        Ok(PutOutcome { digest, subject: manifest.subject.map(|subject| subject.digest), tags: put.tags })
    }

    /// Removes a tag; or a manifest and every tag that points at it.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`, `Disabled` when nothing may be deleted, `ReadOnly`.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.delete",
        skip_all
    )]
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        self.repository.registry.check_deletable()?;
        let resolved = self.resolve(reference).await;
        if let Reference::Tag(tag) = reference {
            let tags = self.repository.tags();
            return match resolved {
                Ok(_) => {
                    tags.remove(tag).await?;
                    self.repository.tell(|| Happening::TagDeleted(tag.clone()));
                    Ok(())
                }
                Err(unknown @ Error::ManifestUnknown(..)) => {
                    tags.clear(tag).await?;
                    Err(unknown)
                }
                Err(error) => Err(error),
            };
        }
        let (digest, canonical) = resolved?;
        // References go before what they refer to.
        self.untag(&canonical).await?;
        let name = &self.repository.name;
        self.driver().delete_tree(&layout::revision(name, &canonical)).await?;
        if digest != canonical {
            self.driver().delete_tree(&layout::revision(name, &digest)).await?;
        }
        self.repository.tell(|| Happening::ManifestDeleted(digest));
        Ok(())
    }

    /// Reads stored bytes as the manifest that they must be.
    pub(crate) fn verify(path: &DriverPath, canonical: &Digest, bytes: &[u8]) -> Result<Manifest> {
        let actual = Digest::of(canonical.algorithm(), bytes);
        if actual != *canonical {
            return Err(Error::Corrupt(path.clone(), format!("its content hashes to {actual}").into()));
        }
        Manifest::parse(bytes, None).map_err(|problem| Error::Corrupt(path.clone(), problem.into()))
    }

    /// The digest to answer with, and the one that the content is stored under.
    async fn resolve(&self, reference: &Reference) -> Result<(Digest, Digest)> {
        let unknown = || Error::ManifestUnknown(reference.clone(), self.repository.name.clone());
        match reference {
            Reference::Tag(tag) => {
                // A tag is removed before its manifest, so what it points at is here.
                let canonical = self.repository.tags().resolve(tag).await?.ok_or_else(unknown)?;
                Ok((canonical.clone(), canonical))
            }
            Reference::Digest(digest) => {
                let name = &self.repository.name;
                let entry = |digest| Entry::RevisionLink(name.clone(), digest);
                let canonical = link::resolve(self.driver(), digest, entry).await?.ok_or_else(unknown)?;
                Ok((digest.clone(), canonical))
            }
        }
    }

    async fn read(&self, reference: &Reference, canonical: &Digest) -> Result<CachedManifest> {
        let cache = &self.repository.registry.inner.manifests;
        if let Some(manifest) = cache.get(canonical) {
            return Ok(manifest);
        }
        let path = Entry::Blob(canonical.clone()).path();
        let Some(bytes) = self.driver().get_content_if_any(&path).await? else {
            tracing::error!(repository = %self.repository.name, %reference, %path, "the data of manifest {canonical} are gone");
            return Err(Error::ManifestUnknown(reference.clone(), self.repository.name.clone()));
        };
        let manifest = Self::verify(&path, canonical, &bytes)?;
        let manifest = CachedManifest { kind: manifest.kind, bytes };
        cache.insert(canonical, manifest.clone());
        self.note(canonical, manifest.descriptor()).await;
        Ok(manifest)
    }

    /// Kind and size of a manifest that the repository has, without its bytes if they are known.
    async fn describe(&self, reference: &Reference, canonical: &Digest) -> Result<CachedDescriptor> {
        let inner = &self.repository.registry.inner;
        if let (None, Some(descriptors)) = (inner.manifests.get(canonical), &inner.descriptors)
            && let Some(known) = descriptors.get(canonical).await
        {
            return Ok(known);
        }
        Ok(self.read(reference, canonical).await?.descriptor())
    }

    async fn note(&self, canonical: &Digest, descriptor: CachedDescriptor) {
        if let Some(descriptors) = &self.repository.registry.inner.descriptors {
            descriptors.put(canonical, descriptor).await;
        }
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
        let references = self.references(manifest)?;
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
            let canonicals = self.check(&references, renewal, &before).await?;
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
                self.check(&references, Renewal::Nothing, &look).await?;
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

    /// Writes the bytes unless they are there, undamaged, and young enough.
    async fn store_data(&self, canonical: &Digest, bytes: &Bytes, renewal: Renewal) -> Result<()> {
        let path = Entry::Blob(canonical.clone()).path();
        // Only of a manifest that was here before is it likely, and worth a look; to write it again does no harm.
        if self.repository.registry.inner.manifests.get(canonical).is_some() {
            let here = self.driver().get_content_if_any(&path).await?.is_some_and(|stored| stored == bytes);
            if here && !self.is_due(canonical, renewal).await? {
                return Ok(());
            }
        }
        let before = Instant::now();
        self.driver().put_content(&path, bytes.clone(), PutMode::Overwrite).await?;
        self.promises().note_data(canonical, before);
        Ok(())
    }

    /// Makes the token of a manifest young, if need be: tells whether it was written.
    pub(crate) async fn renew(&self, canonical: &Digest, renewal: Renewal) -> Result<bool> {
        if !self.is_due(canonical, renewal).await? {
            return Ok(false);
        }
        let path = Entry::Blob(canonical.clone()).path();
        match self.driver().get_content_if_any(&path).await? {
            // Damaged data stay as they are, for somebody to find; they are no token of anything.
            Some(bytes) if Digest::sha256_of(&bytes) == *canonical => {
                self.driver().put_content(&path, bytes, PutMode::Overwrite).await?;
            }
            _ => {}
        }
        Ok(true)
    }

    async fn is_due(&self, canonical: &Digest, renewal: Renewal) -> Result<bool> {
        if renewal == Renewal::Nothing {
            return Ok(false);
        }
        let data = self.driver().stat_if_any(&Entry::Blob(canonical.clone()).path()).await?;
        Ok(data.is_none_or(|data| renewal.is_due(data.modified)))
    }

    /// What must be there for the manifest.
    fn references(&self, manifest: &Manifest) -> Result<References> {
        let required = self.repository.registry.inner.validation.required(manifest)?;
        let mut digests: Vec<Digest> =
            required.into_iter().map(|descriptor| descriptor.digest.clone()).collect();
        digests.sort_unstable();
        digests.dedup();
        Ok(References { of_index: manifest.kind.is_index(), digests })
    }

    /// Sees that everything is there, makes its tokens young, and tells what it is stored under.
    async fn check(&self, references: &References, renewal: Renewal, look: &Look) -> Result<Vec<Digest>> {
        // Owned digests: a stream of borrowed ones makes futures of which the compiler cannot tell that they are `Send`.
        let found: Vec<(Digest, Option<Digest>)> = stream::iter(references.digests.clone())
            .map(|digest| async move {
                let canonical = self.check_one(&digest, references.of_index, renewal, look).await?;
                Ok::<_, Error>((digest, canonical))
            })
            .buffered(CONCURRENT_LOOKUPS)
            .try_collect()
            .await?;
        let missing: Vec<Digest> = found
            .iter()
            .filter(|(_, canonical)| canonical.is_none())
            .map(|(digest, _)| digest.clone())
            .collect();
        match missing.is_empty() {
            true => Ok(found.into_iter().filter_map(|(_, canonical)| canonical).collect()),
            false => Err(Error::ManifestReferencesUnknown(missing)),
        }
    }

    async fn check_one(
        &self,
        digest: &Digest,
        of_index: bool,
        renewal: Renewal,
        look: &Look,
    ) -> Result<Option<Digest>> {
        if of_index {
            match self.resolve(&Reference::Digest(digest.clone())).await {
                Ok((_, canonical)) => {
                    self.renew(&canonical, renewal).await?;
                    let here = self.promises().has_data(self.driver(), &canonical, look).await?;
                    return Ok(here.then_some(canonical));
                }
                Err(Error::ManifestUnknown(..)) => {} // An index of blobs, as build caches are: Distribution takes them.
                Err(error) => return Err(error),
            }
        }
        let blobs = self.repository.blobs();
        let renewed = async {
            let canonical = blobs.find_data(digest, look).await?;
            blobs.renew(digest, &canonical, renewal).await?;
            Ok(canonical)
        };
        match renewed.await {
            Ok(canonical) => Ok(Some(canonical)),
            Err(Error::BlobUnknown(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn contains(&self, digest: &Digest) -> Result<bool> {
        match self.resolve(&Reference::Digest(digest.clone())).await {
            Ok((_, canonical)) => Ok(self.driver().exists(&Entry::Blob(canonical).path()).await?),
            Err(Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes every tag that points at the manifest.
    async fn untag(&self, canonical: &Digest) -> Result<()> {
        let tags = self.repository.tags();
        let names = match tags.list(None, None).await {
            Ok(page) => page.items,
            Err(Error::RepositoryUnknown(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let lookups = self.repository.registry.limits().tag_lookups.max(1);
        stream::iter(names.iter().filter_map(|name| name.parse::<Tag>().ok()))
            .map(Ok)
            .try_for_each_concurrent(lookups, |tag| {
                let tags = &tags;
                async move {
                    match tags.resolve(&tag).await {
                        Ok(Some(target)) if target == *canonical => {
                            tags.remove(&tag).await?;
                            self.repository.tell(|| Happening::TagDeleted(tag));
                            Ok(())
                        }
                        Ok(_) => Ok(()),
                        // Not readable, so it does not point here for anyone.
                        Err(Error::Corrupt(path, error)) => {
                            tracing::warn!(%path, %error, "tag {tag} of {} is corrupt", self.repository.name);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
            })
            .await
    }

    fn tell_pulled(&self, reference: &Reference, stored: &Stored) {
        self.repository.tell(|| {
            let Stored { digest, media_type, bytes } = stored.clone();
            let tag = match reference {
                Reference::Tag(tag) => Some(tag.clone()),
                Reference::Digest(_) => None,
            };
            Happening::ManifestPulled(ToldManifest { digest, media_type, bytes, tag })
        });
    }

    fn promises(&self) -> &Promises {
        &self.repository.registry.inner.promises
    }

    fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}

/// What a manifest needs in its repository.
struct References {
    of_index: bool,
    /// In order, none twice.
    digests: Vec<Digest>,
}
