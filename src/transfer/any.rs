//! `AnySource` and `AnyTarget`: a store or a registry, as a command's options say.

use sampan_bundle::{ContentStream, Presumed};
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use crate::{
    FoundManifest, NewManifest, RegistrySource, RegistryTarget, Result, Source, StoreSource, StoreTarget,
    Target,
};

/// A store or a registry that is read.
#[derive(Clone, Debug)]
pub enum AnySource {
    /// Through the engine.
    Store(StoreSource),
    /// Through the API.
    Registry(RegistrySource),
}

/// A store or a registry that is written.
#[derive(Clone, Debug)]
pub enum AnyTarget {
    /// Through the engine.
    Store(StoreTarget),
    /// Through the API.
    Registry(RegistryTarget),
}

impl Source for AnySource {
    async fn repositories(&self) -> Result<Vec<RepositoryName>> {
        match self {
            Self::Store(store) => store.repositories().await,
            Self::Registry(registry) => registry.repositories().await,
        }
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>> {
        match self {
            Self::Store(store) => store.tags(repository).await,
            Self::Registry(registry) => registry.tags(repository).await,
        }
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<FoundManifest>> {
        match self {
            Self::Store(store) => store.manifest(repository, reference).await,
            Self::Registry(registry) => registry.manifest(repository, reference).await,
        }
    }

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>> {
        match self {
            Self::Store(store) => store.referrers(repository, subject).await,
            Self::Registry(registry) => registry.referrers(repository, subject).await,
        }
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        match self {
            Self::Store(store) => store.blob_size(repository, digest).await,
            Self::Registry(registry) => registry.blob_size(repository, digest).await,
        }
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<ContentStream> {
        match self {
            Self::Store(store) => store.blob(repository, digest).await,
            Self::Registry(registry) => registry.blob(repository, digest).await,
        }
    }
}

impl Target for AnyTarget {
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        match self {
            Self::Store(store) => store.tag(repository, tag).await,
            Self::Registry(registry) => registry.tag(repository, tag).await,
        }
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        match self {
            Self::Store(store) => store.has_manifest(repository, digest).await,
            Self::Registry(registry) => registry.has_manifest(repository, digest).await,
        }
    }

    async fn has_presumed(&self, presumed: &Presumed) -> Result<bool> {
        match self {
            Self::Store(store) => store.has_presumed(presumed).await,
            Self::Registry(registry) => registry.has_presumed(presumed).await,
        }
    }

    async fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        repositories: &[RepositoryName],
    ) -> Result<bool> {
        match self {
            Self::Store(store) => store.place(repository, digest, size_bytes, repositories).await,
            Self::Registry(registry) => registry.place(repository, digest, size_bytes, repositories).await,
        }
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> Result<()> {
        match self {
            Self::Store(store) => store.put_blob(repository, digest, size_bytes, content).await,
            Self::Registry(registry) => registry.put_blob(repository, digest, size_bytes, content).await,
        }
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest<'_>) -> Result<()> {
        match self {
            Self::Store(store) => store.put_manifest(repository, manifest).await,
            Self::Registry(registry) => registry.put_manifest(repository, manifest).await,
        }
    }
}
