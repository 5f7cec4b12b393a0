//! `Repository`: a name bound to a registry.

use crate::oci::RepositoryName;
use crate::{LinkedBlobs, ManifestStore, Referrers, Registry, TagStore, UploadStore};

/// A repository of a registry. It need not exist: it comes into being with its first manifest.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) registry: Registry,
    pub(crate) name: RepositoryName,
}

impl Repository {
    pub(crate) fn new(registry: Registry, name: RepositoryName) -> Self {
        Self { registry, name }
    }

    /// Its name.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The blobs that can be pulled from it.
    pub fn blobs(&self) -> LinkedBlobs {
        LinkedBlobs::new(self.clone())
    }

    /// The manifests that can be pulled from it.
    pub fn manifests(&self) -> ManifestStore {
        ManifestStore::new(self.clone())
    }

    /// The tags in it.
    pub fn tags(&self) -> TagStore {
        TagStore::new(self.clone())
    }

    /// The manifests that are attached to others by `subject`.
    pub fn referrers(&self) -> Referrers {
        Referrers::new(self.clone())
    }

    /// The uploads to it that are in progress.
    pub fn uploads(&self) -> UploadStore {
        UploadStore::new(self.clone())
    }
}
