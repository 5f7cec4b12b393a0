//! `ManifestStore`: the manifests of one repository. What is done with them is in the files beside this one.

use std::sync::Arc;

use sampan_driver::{StorageDriver, StorageDriverExt};

use crate::layout::Entry;
use crate::oci::{Digest, Reference};
use crate::promise::Promises;
use crate::{Error, Repository, Result, link};

/// The manifests of one repository.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    pub(super) repository: Repository,
}

impl ManifestStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// The digest to answer with, and the one that the content is stored under.
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<(Digest, Digest)> {
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

    pub(super) async fn contains(&self, digest: &Digest) -> Result<bool> {
        match self.resolve(&Reference::Digest(digest.clone())).await {
            Ok((_, canonical)) => Ok(self.driver().exists(&Entry::Blob(canonical).path()).await?),
            Err(Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn promises(&self) -> &Promises {
        &self.repository.registry.inner.promises
    }

    pub(super) fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}
