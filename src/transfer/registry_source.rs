//! `RegistrySource`: a registry that is read through its API.

use std::time::SystemTime;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{BoxError, ContentStream};
use sampan_client::{Problem, RegistryClient, RepositoryClient};
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use crate::source::shown;
use crate::{Error, FoundManifest, Result, Source};

/// A registry, read through its API.
#[derive(Clone, Debug)]
pub struct RegistrySource {
    registry: RegistryClient,
    /// The repositories that the selection names; `None` if it has patterns.
    named: Option<Vec<RepositoryName>>,
}

impl RegistrySource {
    /// A registry. If the selection has no patterns for repositories, `named` are its repositories, and no catalog is read:
    /// many registries have none.
    pub fn new(registry: RegistryClient, named: Option<Vec<RepositoryName>>) -> Self {
        Self { registry, named }
    }

    fn at(&self, repository: &RepositoryName) -> RepositoryClient {
        self.registry.repository(repository.clone())
    }
}

#[async_trait]
impl Source for RegistrySource {
    async fn repositories(&self) -> Result<Vec<RepositoryName>> {
        if let Some(named) = &self.named {
            let mut found = Vec::new();
            for name in named {
                if self.at(name).tags().await?.is_some() {
                    found.push(name.clone());
                }
            }
            found.sort();
            found.dedup();
            return Ok(found);
        }
        self.registry
            .repositories()
            .await?
            .ok_or_else(|| Error::NoCatalog(self.registry.address().to_string()))
    }

    fn is_partial(&self, _: &RepositoryName) -> bool {
        // The API does not say it.
        false
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Option<Vec<Tag>>> {
        Ok(self.at(repository).tags().await?)
    }

    async fn tag_time(&self, _: &RepositoryName, _: &Tag) -> Result<Option<SystemTime>> {
        Err(Error::NoTagTimes)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<FoundManifest>> {
        match self.at(repository).manifest(reference).await {
            Ok(found) => Ok(found.map(|found| FoundManifest {
                digest: found.digest,
                media_type: found.media_type,
                bytes: found.bytes,
            })),
            // Others may still be exported.
            Err(error)
                if matches!(
                    error.problem(),
                    Problem::Schema1
                        | Problem::Digest { .. }
                        | Problem::TooLarge { .. }
                        | Problem::Status { status: 500, .. }
                ) =>
            {
                Err(Error::Image {
                    image: shown(repository, reference),
                    problem: error.problem().to_string(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>> {
        Ok(self.at(repository).referrers(subject, None).await?)
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        let Some(found) = self.at(repository).blob_info(digest).await? else { return Ok(None) };
        match found.size_bytes {
            Some(size_bytes) => Ok(Some(size_bytes)),
            None => Err(Error::Image {
                image: format!("{repository}@{digest}"),
                problem: "the registry does not say the length of the blob".to_owned(),
            }),
        }
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<ContentStream> {
        let missing = || Error::Image {
            image: format!("{repository}@{digest}"),
            problem: "the blob is no longer there".to_owned(),
        };
        let blob = self.at(repository).blob(digest, None).await?.ok_or_else(missing)?;
        Ok(blob.into_stream().map_err(BoxError::from).boxed())
    }
}
