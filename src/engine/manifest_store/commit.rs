//! Storing: writes data and link of a manifest such that no collection can delete its references meanwhile.

use bytes::Bytes;
use futures::future::try_join;

use super::ManifestStore;
use super::references::References;
use crate::layout::Entry;
use crate::lease::{PendingSnapshot, RefreshPolicy, Retry};
use crate::oci::{Digest, Manifest};
use crate::{Error, Result, link};

/// A manifest to store.
pub(super) struct NewManifest<'a> {
    pub(super) canonical: &'a Digest,
    pub(super) digest: &'a Digest,
    bytes: &'a Bytes,
    references: &'a References,
    /// The manifest that it is attached to.
    subject: Option<&'a Digest>,
    origin: Origin,
}

/// Where a manifest comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// A client or a command stores it here.
    Pushed,
    /// Another registry, of which the repository is a cache.
    Fetched,
}

impl<'a> NewManifest<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        bytes: &'a Bytes,
        canonical: &'a Digest,
        digest: &'a Digest,
        references: &'a References,
        origin: Origin,
    ) -> Self {
        let subject = manifest.subject.as_ref().map(|subject| &subject.digest);
        Self { canonical, digest, bytes, references, subject, origin }
    }
}

/// The result of an attempt to store a manifest.
enum Attempt {
    /// The manifest is stored, and its references exist.
    Stored,
    /// The collector is about to delete this digest. Retry after that.
    Collecting(Digest),
    /// The attempt took so long that a collection may have deleted something. Retry, and renew every lease file.
    Late,
}

impl ManifestStore {
    /// Writes data and revision links once all references exist and none of them is a pending deletion.
    pub(super) async fn store(&self, new: &NewManifest<'_>) -> Result<()> {
        let mut hold: Option<Retry> = None;
        let mut renews_everything = false;
        let mut is_linked_by_us = false;
        loop {
            let stored = match self.try_store(new, renews_everything, &mut is_linked_by_us).await {
                Ok(Attempt::Stored) => return Ok(()),
                Ok(Attempt::Collecting(pending)) => hold.get_or_insert_with(Retry::new).wait(&pending).await,
                Ok(Attempt::Late) => {
                    renews_everything = true;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let Err(error) = stored else { continue };
            if !is_linked_by_us || !self.lacks_any(new.references, &error).await? {
                return Err(error);
            }
            // A collection deleted references of the manifest while its link was written. The last attempt finds out whether
            // another push, which restored all of them, got its success from the link that is removed here.
            let revision = Entry::RevisionLink(self.repository.name.clone(), new.canonical.clone());
            link::remove(self.driver(), &revision).await?;
            is_linked_by_us = false;
            renews_everything = true;
        }
    }

    /// Whether a reference of the manifest is missing, after an attempt to store it failed.
    async fn lacks_any(&self, references: &References, error: &Error) -> Result<bool> {
        match error {
            Error::ManifestReferencesUnknown(_) => return Ok(true),
            Error::Collecting(_) => {}
            _ => return Ok(false),
        }
        let look = self.leases().check_pending(self.driver()).await?;
        match references.check(self, RefreshPolicy::Nothing, &look).await {
            Ok(_) => Ok(false),
            Err(Error::ManifestReferencesUnknown(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn try_store(
        &self,
        new: &NewManifest<'_>,
        renews_everything: bool,
        is_linked_by_us: &mut bool,
    ) -> Result<Attempt> {
        let NewManifest { canonical, digest, bytes, references, subject, origin } = *new;
        let name = &self.repository.name;
        let revision = Entry::RevisionLink(name.clone(), canonical.clone());
        // If no run is active, and this check is still fresh at the end, nothing can have vanished.
        let before = self.leases().check_pending(self.driver()).await?;
        let renewal = match renews_everything {
            true => RefreshPolicy::Everything,
            false => self.leases().renewal(self.driver()).await?,
        };
        // Lease files first, then the check for pending deletions, then the last check that everything exists.
        let checked = references.check(self, renewal, &before);
        let (canonicals, was_linked) = try_join(checked, self.has_link(&revision)).await?;
        let mut files = Vec::from_iter(self.data_to_store(canonical, bytes, renewal).await?);
        // Without a run nothing can vanish between the data and the links, so they are written together.
        let is_fresh = before.is_fresh();
        let is_together = is_fresh && !files.is_empty();
        if !is_fresh {
            self.put_files(canonical, &std::mem::take(&mut files)).await?;
            let look = self.leases().check_pending(self.driver()).await?;
            if let Some(pending) = self.find_pending(&look, canonicals.iter().chain([canonical])) {
                return Ok(Attempt::Collecting(pending.clone()));
            }
            references.check(self, RefreshPolicy::Nothing, &look).await?;
            if self.leases().has_data(self.driver(), canonical, &look).await?.is_none() {
                return Ok(Attempt::Collecting(canonical.clone()));
            }
            if renewal == RefreshPolicy::Nothing && !look.is_fresh() {
                // A run may have begun that has seen none of this.
                return Ok(Attempt::Late);
            }
        }
        *is_linked_by_us |= !was_linked;
        if digest != canonical {
            let alias = Entry::RevisionLink(name.clone(), digest.clone());
            files.push(link::file(&alias, canonical));
        }
        let referrers = self.repository.referrers();
        if let Some(subject) = subject {
            files.push(referrers.file(subject, canonical));
        }
        files.push(link::file(&revision, canonical));
        let fetched = Entry::Fetched(name.clone(), canonical.clone());
        let is_cache = self.repository.registry.caches().contains(name);
        match origin {
            // Last: a crash before it leaves a manifest that no collection evicts.
            Origin::Fetched if !was_linked => files.push(link::file(&fetched, canonical)),
            // A pull that found no link may write its mark at any time from here on, and this one counts for more.
            Origin::Pushed if is_cache => {
                files.push(link::file(&Entry::Pushed(name.clone(), canonical.clone()), canonical));
            }
            _ => {}
        }
        self.put_files(canonical, &files).await?;
        if origin == Origin::Pushed && (was_linked || is_cache) {
            // What was only fetched is what a client relies on from here on, also in a registry whose configuration has no cache.
            link::remove_if_any(self.driver(), &fetched).await?;
        }
        if let Some(subject) = subject {
            // A deletion of the same manifest may have removed the entry meanwhile.
            referrers.add_if_missing(subject, canonical).await?;
        }
        if before.is_fresh() {
            return Ok(Attempt::Stored);
        }
        // The link itself may be a pending deletion, if nothing referred to the manifest.
        let look = self.leases().check_pending(self.driver()).await?;
        if look.pending.has_manifest(name, canonical) || !self.contains(digest).await? {
            return Ok(Attempt::Collecting(canonical.clone()));
        }
        // Writing them may have outlasted the moment without a run, so the data may be a pending deletion, too.
        if is_together && self.find_pending(&look, [canonical]).is_some() {
            return Ok(Attempt::Collecting(canonical.clone()));
        }
        // In a cache, a lease file may be old for the collector and not due for renewal.
        let is_pushed_to_cache = origin == Origin::Pushed && is_cache;
        if renewal == RefreshPolicy::Nothing || is_pushed_to_cache {
            // Writing the link may have outlasted a whole run, which saw neither the link nor fresh lease files.
            if let Some(pending) = self.find_pending(&look, canonicals.iter()) {
                return Ok(Attempt::Collecting(pending.clone()));
            }
            match references.check(self, RefreshPolicy::Nothing, &look).await {
                Ok(_) => {}
                Err(Error::ManifestReferencesUnknown(_)) => return Ok(Attempt::Late),
                Err(error) => return Err(error),
            }
        }
        Ok(Attempt::Stored)
    }

    /// Whether the link exists, readable or not.
    async fn has_link(&self, entry: &Entry) -> Result<bool> {
        match link::read(self.driver(), entry).await {
            Ok(target) => Ok(target.is_some()),
            Err(Error::Corrupt(..)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn find_pending<'p>(
        &self,
        look: &PendingSnapshot,
        digests: impl IntoIterator<Item = &'p Digest>,
    ) -> Option<&'p Digest> {
        let name = &self.repository.name;
        digests
            .into_iter()
            .find(|digest| look.pending.has_blob(name, digest) || look.pending.has_manifest(name, digest))
    }
}
