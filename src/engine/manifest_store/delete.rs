//! Deleting: references go before their targets.
//!
//! A deletion removes the link that makes the manifest visible: a tag without it is unknown. The deletion first writes a
//! notice that it is about to remove the link, and then reads the tags set meanwhile; a push that has set a tag then looks
//! for notices, waits for those deletions, and checks that the link still exists. So at least one of the two notices the
//! other, and the result is that of running one after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::ready;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::StorageDriverExt;

use super::ManifestStore;
use crate::deletions::run_to_the_end;
use crate::layout::Entry;
use crate::oci::{Digest, Reference, Tag};
use crate::tag_removal::{KnownDescendants, Stale};
use crate::{Error, EventKind, Result, link};

/// The tags of a listing. The stream holds no more of them than the deletion reads in parallel.
type Tags = BoxStream<'static, Result<Tag>>;

/// The treatment of a manifest that tags point at by a deletion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OnTagged {
    /// Removes the tags, and then the manifest.
    Untag,
    /// Leaves the tags and the manifest alone.
    Keep,
}

/// More than the clocks of registries and store may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

impl ManifestStore {
    /// Deletes a tag; or a manifest and every tag that points at it.
    ///
    /// Damaged entries are deleted as well. Until a deletion by digest returns, some of the tags may be gone and others not.
    /// A deletion continues when the caller drops the call, and a second one for the same manifest waits for the first.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`, `Disabled` when the configuration forbids deletion, `ReadOnly`.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.delete",
        skip_all
    )]
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        let _write = self.repository.registry.begin_deletion()?;
        match reference {
            Reference::Tag(tag) => self.delete_tag(reference, tag).await,
            Reference::Digest(digest) => {
                self.delete_manifest(reference, digest, OnTagged::Untag).await.map(drop)
            }
        }
    }

    /// Deletes a manifest unless a tag points at it, and returns whether it did. A push that sets such a tag meanwhile keeps
    /// the manifest, or waits for the deletion and writes it again.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`, `Disabled` when the configuration forbids deletion, `ReadOnly`.
    pub async fn delete_untagged(&self, digest: &Digest) -> Result<bool> {
        let _write = self.repository.registry.begin_deletion()?;
        self.delete_manifest(&Reference::Digest(digest.clone()), digest, OnTagged::Keep).await
    }

    /// Deletes a tag if it points at the manifest, and returns whether it did. A push that moves the tag meanwhile keeps it.
    ///
    /// # Errors
    ///
    /// `Disabled` when the configuration forbids deletion, `ReadOnly`.
    pub async fn delete_tag_of(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        let _write = self.repository.registry.begin_deletion()?;
        match self.resolve(&Reference::Digest(digest.clone())).await {
            Ok((_, canonical)) => {
                let (store, tag) = (self.clone(), tag.clone());
                let removal = async move {
                    store.untag_one(tag, Stale::PointsAt(&canonical), &KnownDescendants::new()).await
                };
                self.repository.registry.remove_tag(removal).await
            }
            Err(Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a tag that points at no manifest, or is damaged, and returns whether it did. A push that sets the tag meanwhile
    /// keeps it.
    ///
    /// # Errors
    ///
    /// `Disabled` when the configuration forbids deletion, `ReadOnly`.
    pub async fn delete_broken_tag(&self, tag: &Tag) -> Result<bool> {
        let _write = self.repository.registry.begin_deletion()?;
        let (store, tag) = (self.clone(), tag.clone());
        let removal = async move { store.untag_one(tag, Stale::Broken, &KnownDescendants::new()).await };
        self.repository.registry.remove_tag(removal).await
    }

    /// Removes a tag from a cache, if it is there: the other registry has it no more. Clients need not be allowed to delete.
    ///
    /// # Errors
    ///
    /// `ReadOnly`.
    pub async fn forget_tag(&self, tag: &Tag) -> Result<()> {
        let _write = self.repository.registry.begin_write()?;
        match self.delete_tag(&Reference::Tag(tag.clone()), tag).await {
            Err(Error::ManifestUnknown(..)) => Ok(()),
            forgotten => forgotten,
        }
    }

    /// Deletes a tag in its own task, which continues when the request is dropped.
    async fn delete_tag(&self, reference: &Reference, tag: &Tag) -> Result<()> {
        let (store, reference, tag) = (self.clone(), reference.clone(), tag.clone());
        let removal = async move { store.delete_tag_to_the_end(&reference, &tag).await };
        self.repository.registry.remove_tag(removal).await
    }

    async fn delete_tag_to_the_end(&self, reference: &Reference, tag: &Tag) -> Result<()> {
        let tags = self.repository.tags();
        loop {
            match self.resolve(reference).await {
                Ok(_) => break,
                Err(unknown @ Error::ManifestUnknown(..)) => {
                    // The tag would reappear with a push of its manifest. If one came meanwhile, start over.
                    if !tags.has_remains(tag).await? || tags.remove_if(tag, Stale::Dangling).await? {
                        return Err(unknown);
                    }
                }
                Err(Error::Corrupt(path, error)) => {
                    tracing::warn!(%path, %error, "tag {tag} of {} is damaged, and is deleted", self.repository.name);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        tags.keep_for_pullers(tag, None).await?;
        tags.remove_if(tag, Stale::Any).await?;
        self.repository.emit(|| EventKind::TagDeleted(tag.clone()));
        Ok(())
    }

    /// Deletes a manifest in its own task, which continues when the request is dropped. It returns whether the manifest is
    /// deleted.
    async fn delete_manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
        on_tagged: OnTagged,
    ) -> Result<bool> {
        let canonical = self.canonical_of_deleted(reference, digest).await?;
        let deletions = &self.repository.registry.inner.deletions;
        let running = deletions.begin(&self.repository.name, canonical.as_ref().unwrap_or(digest)).await;
        // The request, which has begun a write, may be dropped.
        let write = self.repository.registry.inner.writes.count();
        let (store, reference, digest) = (self.clone(), reference.clone(), digest.clone());
        let deletion = async move {
            let (_running, _write) = (running, write);
            let deleted = store.delete_to_the_end(&reference, &digest, on_tagged).await;
            if let Err(error) = &deleted {
                // The request may be gone.
                let name = &store.repository.name;
                tracing::debug!(repository = %name, %digest, %error, "manifest {digest} of {name} was not deleted");
            }
            deleted
        };
        run_to_the_end(deletion).await
    }

    /// The canonical digest of the manifest, as far as its links name it.
    async fn canonical_of_deleted(&self, reference: &Reference, digest: &Digest) -> Result<Option<Digest>> {
        let name = &self.repository.name;
        match self.resolve(reference).await {
            Ok((_, canonical)) => Ok(Some(canonical)),
            Err(Error::Corrupt(path, error)) => {
                tracing::warn!(%path, %error, "a link to {digest} in {name} is damaged, and is deleted");
                Ok(digest.is_canonical().then(|| digest.clone()))
            }
            // Delete an empty link, too.
            Err(unknown @ Error::ManifestUnknown(..)) => {
                let link = Entry::RevisionLink(name.clone(), digest.clone());
                match self.driver().exists(&link.path()).await? {
                    true => Ok(digest.is_canonical().then(|| digest.clone())),
                    false => Err(unknown),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn delete_to_the_end(
        &self,
        reference: &Reference,
        digest: &Digest,
        on_tagged: OnTagged,
    ) -> Result<bool> {
        let name = &self.repository.name;
        // Resolve again: another deletion of the manifest may have ended meanwhile.
        let canonical = self.canonical_of_deleted(reference, digest).await?;
        if let Some(canonical) = &canonical
            && !self.delete_linked(canonical, on_tagged).await?
        {
            return Ok(false);
        }
        if canonical.as_ref() != Some(digest) {
            link::remove(self.driver(), &Entry::RevisionLink(name.clone(), digest.clone())).await?;
        }
        self.repository.emit(|| EventKind::ManifestDeleted(digest.clone()));
        Ok(true)
    }

    /// Removes the link to a manifest, after all tags that point at it; or returns false, if such tags keep it.
    async fn delete_linked(&self, canonical: &Digest, on_tagged: OnTagged) -> Result<bool> {
        let (tags, referrers) = (self.repository.tags(), self.repository.referrers());
        let subject = referrers.subject_of(canonical).await?;
        let link = Entry::RevisionLink(self.repository.name.clone(), canonical.clone());
        let since = self.repository.registry.clock().ago(CLOCK_SKEW);
        match on_tagged {
            OnTagged::Untag => self.untag(self.all_tags().await?, Stale::PointsAt(canonical)).await?,
            OnTagged::Keep if self.is_tagged(canonical).await? => return Ok(false),
            OnTagged::Keep => {}
        }
        // From here on a push of the manifest waits before it answers. So the next step sees the tag of every push that
        // answered before.
        let notice = tags.announce_removal(canonical).await?;
        let is_kept = match on_tagged {
            OnTagged::Untag => {
                self.untag(tags.changed_since(since), Stale::PointsAt(canonical)).await.map(|()| false)
            }
            OnTagged::Keep => self.is_tagged(canonical).await,
        };
        if !matches!(is_kept, Ok(false)) {
            tags.delete_notices(vec![notice]).await?;
            return is_kept.map(|_| false);
        }
        tags.sync_removals().await?;
        // Before the link: a push that comes after that writes a mark that stays.
        for mark in [Entry::Fetched, Entry::Pushed] {
            let mark = mark(self.repository.name.clone(), canonical.clone());
            if let Err(error) = link::remove_if_any(self.driver(), &mark).await {
                tracing::debug!(%error, "a mark of a deleted manifest is left to the next collection");
            }
        }
        // A failed request may still be running in the store, so the notice stays.
        link::remove(self.driver(), &link).await?;
        if let Some(subject) = subject {
            referrers.remove(&subject, canonical).await;
        }
        // CNCF Distribution, which neither writes nor reads notices, may have set tags meanwhile.
        self.untag(tags.changed_since(since), Stale::PointsAtDeleted(canonical)).await?;
        tags.delete_notices(vec![notice]).await?;
        Ok(true)
    }

    /// Whether a tag points at the manifest.
    async fn is_tagged(&self, canonical: &Digest) -> Result<bool> {
        let (tags, lookups) = (self.repository.tags(), self.repository.registry.limits().tag_lookups.max(1));
        let points = self.all_tags().await?.map(|tag| {
            let tags = &tags;
            async move { tags.is_stale(&tag?, Stale::PointsAt(canonical)).await }
        });
        let found = points.buffer_unordered(lookups).try_filter(|points| ready(*points));
        Ok(std::pin::pin!(found).try_next().await?.is_some())
    }

    async fn all_tags(&self) -> Result<Tags> {
        match self.repository.tags().stream(None).await {
            Ok(names) => Ok(names.try_filter_map(|name| ready(Ok(name.parse().ok()))).boxed()),
            Err(Error::RepositoryUnknown(_)) => Ok(stream::empty().boxed()),
            Err(error) => Err(error),
        }
    }

    /// Removes the stale tags among `tags`. After a failure, the removals that have begun still finish.
    async fn untag(&self, tags: Tags, stale: Stale<'_>) -> Result<()> {
        let lookups = self.repository.registry.limits().tag_lookups.max(1);
        let (failed, known) = (AtomicBool::new(false), KnownDescendants::new());
        let results = tags
            .take_while(|_| ready(!failed.load(Ordering::Relaxed)))
            .map(|tag| {
                let (failed, known) = (&failed, &known);
                async move {
                    let result = match tag {
                        Ok(tag) => self.untag_one(tag, stale, known).await.map(drop),
                        Err(error) => Err(error),
                    };
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    result
                }
            })
            .buffer_unordered(lookups);
        results.fold(Ok(()), |all, result| ready(all.and(result))).await
    }

    /// Removes a tag if it is stale, and returns whether it was.
    async fn untag_one(&self, tag: Tag, stale: Stale<'_>, known: &KnownDescendants) -> Result<bool> {
        let store = self.repository.tags();
        // A damaged tag points nowhere.
        if !store.is_stale(&tag, stale).await? {
            return Ok(false);
        }
        store.keep_for_pullers(&tag, None).await?;
        let removed = store.remove_one_if(&tag, stale, known).await?;
        if removed {
            self.repository.emit(|| EventKind::TagDeleted(tag));
        }
        Ok(removed)
    }
}
