//! Storing: data and link of a manifest are written so that nothing it refers to can be collected meanwhile.

use bytes::Bytes;
use futures::future::try_join;

use super::ManifestStore;
use super::references::References;
use crate::layout::Entry;
use crate::lease::{PendingSnapshot, RefreshPolicy, Retry};
use crate::oci::{Digest, Manifest};
use crate::{Error, Result, link};

/// What is to be stored.
struct NewManifest<'a> {
    canonical: &'a Digest,
    digest: &'a Digest,
    bytes: &'a Bytes,
    references: &'a References,
    /// What it is attached to.
    subject: Option<&'a Digest>,
}

/// What became of an attempt to store a manifest.
enum Attempt {
    /// It is stored, and what it refers to is there.
    Stored,
    /// The collector is about to delete this. It is to be tried again when it is gone.
    PendingDeletions(Digest),
    /// It took so long that something may have been collected. It is to be tried again, with every token made young.
    Late,
}

impl ManifestStore {
    /// Writes data and revision links as soon as everything is there, and out of the collector's hands.
    pub(super) async fn store(
        &self,
        manifest: &Manifest,
        bytes: &Bytes,
        canonical: &Digest,
        digest: &Digest,
    ) -> Result<()> {
        let references = References::of(manifest, &self.repository.registry.inner.validation)?;
        let subject = manifest.subject.as_ref().map(|subject| &subject.digest);
        let new = NewManifest { canonical, digest, bytes, references: &references, subject };
        let mut hold: Option<Retry> = None;
        let mut renews_everything = false;
        let mut is_linked_by_us = false;
        loop {
            let stored = match self.try_store(&new, renews_everything, &mut is_linked_by_us).await {
                Ok(Attempt::Stored) => return Ok(()),
                Ok(Attempt::PendingDeletions(doomed)) => {
                    hold.get_or_insert_with(Retry::new).wait(&doomed).await
                }
                Ok(Attempt::Late) => {
                    renews_everything = true;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let Err(error) = stored else { continue };
            if !is_linked_by_us || !self.lacks_any(&references, &error).await? {
                return Err(error);
            }
            // What the manifest refers to was collected while its link was written. The last attempt sees whether another
            // push, which has brought all of it back, was acknowledged by the link that is removed here.
            let revision = Entry::RevisionLink(self.repository.name.clone(), canonical.clone());
            link::remove(self.driver(), &revision).await?;
            is_linked_by_us = false;
            renews_everything = true;
        }
    }

    /// Whether something that a manifest refers to is not there, now that storing it has failed.
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
        let NewManifest { canonical, digest, bytes, references, subject } = *new;
        let name = &self.repository.name;
        let revision = Entry::RevisionLink(name.clone(), canonical.clone());
        // When it is known that there is no run, and still is not too long ago at the end, nothing can have vanished.
        let before = self.leases().check_pending(self.driver()).await?;
        let renewal = match renews_everything {
            true => RefreshPolicy::Everything,
            false => self.leases().renewal(self.driver()).await?,
        };
        // The tokens first, then the look, then the last sight.
        let checked = references.check(self, renewal, &before);
        let (canonicals, was_linked) = try_join(checked, self.has_link(&revision)).await?;
        self.store_data(canonical, bytes, renewal).await?;
        if !before.is_fresh() {
            let look = self.leases().check_pending(self.driver()).await?;
            if let Some(doomed) = self.find_doomed(&look, canonicals.iter().chain([canonical])) {
                return Ok(Attempt::PendingDeletions(doomed.clone()));
            }
            references.check(self, RefreshPolicy::Nothing, &look).await?;
            if !self.leases().has_data(self.driver(), canonical, &look).await? {
                return Ok(Attempt::PendingDeletions(canonical.clone()));
            }
            if renewal == RefreshPolicy::Nothing && !look.is_fresh() {
                // A run may have begun that has not seen any of this.
                return Ok(Attempt::Late);
            }
        }
        *is_linked_by_us |= !was_linked;
        if digest != canonical {
            let alias = Entry::RevisionLink(name.clone(), digest.clone());
            link::write(self.driver(), &alias, canonical).await?;
        }
        let referrers = self.repository.referrers();
        if let Some(subject) = subject {
            referrers.add(subject, canonical).await?;
        }
        link::write(self.driver(), &revision, canonical).await?;
        if let Some(subject) = subject {
            // A deletion of the same manifest may have taken it away meanwhile.
            referrers.add_if_missing(subject, canonical).await?;
        }
        if before.is_fresh() {
            return Ok(Attempt::Stored);
        }
        // The collector may have doomed the very link, of a manifest that nothing referred to.
        let look = self.leases().check_pending(self.driver()).await?;
        if look.pending.has_manifest(name, canonical) || !self.contains(digest).await? {
            return Ok(Attempt::PendingDeletions(canonical.clone()));
        }
        if renewal == RefreshPolicy::Nothing {
            // To write the link may have taken so long that a whole run went by, which saw neither it nor young tokens.
            if let Some(doomed) = self.find_doomed(&look, canonicals.iter()) {
                return Ok(Attempt::PendingDeletions(doomed.clone()));
            }
            match references.check(self, RefreshPolicy::Nothing, &look).await {
                Ok(_) => {}
                Err(Error::ManifestReferencesUnknown(_)) => return Ok(Attempt::Late),
                Err(error) => return Err(error),
            }
        }
        Ok(Attempt::Stored)
    }

    /// Whether there is a link, readable or not.
    async fn has_link(&self, entry: &Entry) -> Result<bool> {
        match link::read(self.driver(), entry).await {
            Ok(target) => Ok(target.is_some()),
            Err(Error::Corrupt(..)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn find_doomed<'d>(
        &self,
        look: &PendingSnapshot,
        digests: impl IntoIterator<Item = &'d Digest>,
    ) -> Option<&'d Digest> {
        let name = &self.repository.name;
        digests
            .into_iter()
            .find(|digest| look.pending.has_blob(name, digest) || look.pending.has_manifest(name, digest))
    }
}
