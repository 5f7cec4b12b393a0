//! `ManifestStore`: the manifests of one repository. The sibling files implement its operations.

use std::sync::Arc;

use futures::future::try_join;
use sampan_driver::{StorageDriver, StorageDriverExt};

use crate::layout::Entry;
use crate::lease::Leases;
use crate::oci::{Digest, Reference, Tag};
use crate::{Error, Repository, Result, link};

/// A tag that moves more often than this during a read counts as unknown.
const MAX_MOVES: usize = 8;

/// The manifests of one repository.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    pub(crate) repository: Repository,
}

impl ManifestStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// The digest for the response, and the canonical digest.
    pub(crate) async fn resolve(&self, reference: &Reference) -> Result<(Digest, Digest)> {
        let unknown = || Error::ManifestUnknown(reference.clone(), self.repository.name.clone());
        match reference {
            Reference::Tag(tag) => {
                let (canonical, pushed) =
                    try_join(self.resolve_tag(tag), self.repository.tags().pushed_digest(tag)).await?;
                let canonical = canonical.ok_or_else(unknown)?;
                match pushed {
                    Some(pushed) if self.is_alias(&pushed, &canonical).await? => Ok((pushed, canonical)),
                    _ => Ok((canonical.clone(), canonical)),
                }
            }
            Reference::Digest(digest) => {
                let name = &self.repository.name;
                let entry = |digest| Entry::RevisionLink(name.clone(), digest);
                let canonical = link::resolve(self.driver(), digest, entry).await?.ok_or_else(unknown)?;
                Ok((digest.clone(), canonical))
            }
        }
    }

    /// Whether the repository has the manifest under both digests.
    async fn is_alias(&self, digest: &Digest, canonical: &Digest) -> Result<bool> {
        let name = &self.repository.name;
        match link::resolve(self.driver(), digest, |digest| Entry::RevisionLink(name.clone(), digest)).await {
            Ok(resolved) => Ok(resolved.as_ref() == Some(canonical)),
            Err(Error::Corrupt(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The target of a tag, if the repository has it.
    ///
    /// A tag without a link to its manifest is left from a deletion, here as in CNCF Distribution.
    async fn resolve_tag(&self, tag: &Tag) -> Result<Option<Digest>> {
        let mut before = None;
        for _ in 0..MAX_MOVES {
            let target = self.repository.tags().resolve(tag).await?;
            // A tag that moved away from a manifest which was then deleted still exists.
            if target.is_none() || target == before {
                return Ok(None);
            }
            if let Some(target) = &target
                && self.is_linked(target).await?
            {
                return Ok(Some(target.clone()));
            }
            before = target;
        }
        Ok(None)
    }

    /// Whether the repository has a link to the manifest.
    pub(crate) async fn is_linked(&self, canonical: &Digest) -> Result<bool> {
        let name = &self.repository.name;
        let revision = |digest| Entry::RevisionLink(name.clone(), digest);
        if link::resolve(self.driver(), canonical, revision).await?.is_some() {
            return Ok(true);
        }
        // Distribution 2.1.0 linked manifests like layers, and every later version still finds them.
        let layer = |digest| Entry::LayerLink(name.clone(), digest);
        Ok(link::resolve(self.driver(), canonical, layer).await?.is_some())
    }

    /// Whether no collection evicts the manifest: the repository is no cache, or the manifest was pushed since it is one.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; `Corrupt` if its link is damaged; any error of the store.
    pub async fn is_kept(&self, digest: &Digest) -> Result<bool> {
        let name = &self.repository.name;
        if !self.repository.registry.caches().contains(name) {
            return Ok(true);
        }
        let (_, canonical) = self.resolve(&Reference::Digest(digest.clone())).await?;
        Ok(self.driver().exists(&Entry::Pushed(name.clone(), canonical).path()).await?)
    }

    pub(super) async fn contains(&self, digest: &Digest) -> Result<bool> {
        match self.resolve(&Reference::Digest(digest.clone())).await {
            Ok((_, canonical)) => {
                let data = self.driver().stat_if_any(&Entry::Blob(canonical).path()).await?;
                Ok(data.is_some_and(|data| data.size_bytes > 0))
            }
            Err(Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn leases(&self) -> &Leases {
        &self.repository.registry.inner.leases
    }

    pub(super) fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}
