//! `Remote`: reads an inventory through a registry's API.

use bytes::{Bytes, BytesMut};
use sampan_client::{ClientError, Problem, RegistryClient, RepositoryClient};
use sampan_engine::oci::{Digest, Manifest, Reference};

use super::source::{LoadedManifest, SourceError};
use super::store::SMALL_BYTES;

/// A registry read through its API.
#[derive(Debug)]
pub struct Remote {
    registry: RegistryClient,
}

impl Remote {
    /// Creates a reader; it sends nothing yet.
    pub fn new(registry: RegistryClient) -> Self {
        Self { registry }
    }

    pub(super) async fn repositories(&self) -> Result<Vec<String>, SourceError> {
        let names = self.registry.repositories().await?.unwrap_or_default();
        Ok(names.iter().map(ToString::to_string).collect())
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        let Some(repository) = self.repository(repository) else { return Ok(Vec::new()) };
        let tags = repository.tags().await?.unwrap_or_default();
        Ok(tags.iter().map(ToString::to_string).collect())
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<LoadedManifest>, SourceError> {
        let (Some(repository), Ok(reference)) = (self.repository(repository), reference.parse::<Reference>())
        else {
            return Ok(None);
        };
        let read = match repository.manifest(&reference).await {
            Err(error) if matches!(error.problem(), Problem::Schema1) => None,
            read => read?,
        };
        Ok(read.and_then(|read| {
            let manifest = Manifest::parse(&read.bytes, Some(&read.media_type)).ok()?;
            Some(LoadedManifest { digest: read.digest, size_bytes: read.bytes.len() as u64, manifest })
        }))
    }

    pub(super) async fn small_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Bytes>, SourceError> {
        let Some(repository) = self.repository(repository) else { return Ok(None) };
        match small(&repository, digest).await {
            // The listing continues without the platform of a damaged image.
            Err(error) if matches!(error.problem(), Problem::Digest { .. } | Problem::Length { .. }) => {
                Ok(None)
            }
            read => Ok(read?),
        }
    }

    fn repository(&self, name: &str) -> Option<RepositoryClient> {
        Some(self.registry.repository(name.parse().ok()?))
    }
}

async fn small(repository: &RepositoryClient, digest: &Digest) -> Result<Option<Bytes>, ClientError> {
    let Some(mut blob) = repository.blob(digest, None).await? else { return Ok(None) };
    let mut content = BytesMut::new();
    while let Some(chunk) = blob.next().await? {
        content.extend_from_slice(&chunk);
        if content.len() as u64 > SMALL_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(content.freeze()))
}
