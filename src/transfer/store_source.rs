//! `StoreSource`: the store of a registry, which may run meanwhile.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{BoxError, ContentStream};
use sampan_driver::{ByteRange, with_causes};
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Error as EngineError, ReferrersQuery, Registry, Repository};

use crate::source::shown;
use crate::{Error, FoundManifest, Result, Source};

/// A store, read through the engine.
#[derive(Clone, Debug)]
pub struct StoreSource {
    registry: Registry,
    incomplete: BTreeSet<RepositoryName>,
}

/// The number of repositories per page.
const PAGE: usize = 1000;

impl StoreSource {
    /// The store of a registry. Unless it is read-only, each blob gets a lease when the plan asks for it.
    pub fn new(registry: Registry) -> Self {
        Self { registry, incomplete: BTreeSet::new() }
    }

    /// The same store, of which these repositories are parts of others.
    #[must_use]
    pub fn with_incomplete(mut self, incomplete: BTreeSet<RepositoryName>) -> Self {
        self.incomplete = incomplete;
        self
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    fn at(&self, repository: &RepositoryName) -> Repository {
        self.registry.repository(repository.clone())
    }
}

#[async_trait]
impl Source for StoreSource {
    async fn repositories(&self) -> Result<Vec<RepositoryName>> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let page = self.registry.catalog(found.last().map(String::as_str), PAGE).await?;
            found.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        Ok(parsed(found))
    }

    fn is_partial(&self, repository: &RepositoryName) -> bool {
        self.registry.caches().contains(repository) || self.incomplete.contains(repository)
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<Option<Vec<Tag>>> {
        tags_of(&self.at(repository)).await
    }

    async fn tag_time(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<SystemTime>> {
        Ok(self.at(repository).tags().pushed_at(tag).await?)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<FoundManifest>> {
        match self.at(repository).manifests().get(reference).await {
            Ok(stored) => Ok(Some(FoundManifest {
                digest: stored.digest,
                media_type: stored.media_type.as_str().to_owned(),
                bytes: stored.bytes,
            })),
            Err(EngineError::ManifestUnknown(..)) => Ok(None),
            Err(error @ EngineError::Corrupt(..)) => Err(Error::Image {
                image: shown(repository, reference),
                problem: format!("its manifest is damaged: {}", with_causes(&error)),
            }),
            Err(error) => Err(of_image(error, || (shown(repository, reference), "its manifest".to_owned()))),
        }
    }

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>> {
        let page = self.at(repository).referrers().list(subject, &ReferrersQuery::default()).await;
        let page = page.map_err(|error| {
            of_image(error, || (format!("{repository}@{subject}"), "the list of its referrers".to_owned()))
        })?;
        Ok(page.descriptors.iter().map(|referrer| referrer.descriptor()).collect())
    }

    async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        match self.at(repository).blobs().stat_and_lease(digest).await {
            Ok(blob) => Ok(Some(blob.size_bytes)),
            Err(EngineError::BlobUnknown(..)) => Ok(None),
            Err(error) => Err(of_blob(error, repository, digest)),
        }
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<ContentStream> {
        let read = self.at(repository).blobs().read(digest, ByteRange::from(0)).await;
        let (_, reader) = read.map_err(|error| of_blob(error, repository, digest))?;
        Ok(reader.into_stream().map_err(BoxError::from).boxed())
    }
}

/// The error of an image if only one of its files cannot be read. `named` is the image, and what of it.
fn of_image(error: EngineError, named: impl FnOnce() -> (String, String)) -> Error {
    if !error.is_of_one_file() {
        return error.into();
    }
    let (image, what) = named();
    Error::Image { image, problem: format!("{what} cannot be read: {}", with_causes(&error)) }
}

fn of_blob(error: EngineError, repository: &RepositoryName, digest: &Digest) -> Error {
    of_image(error, || (format!("{repository}@{digest}"), digest.to_string()))
}

/// The tags of a repository, sorted; `None` if it does not exist.
pub(crate) async fn tags_of(repository: &Repository) -> Result<Option<Vec<Tag>>> {
    match repository.tags().list(None, None).await {
        Ok(page) => Ok(Some(parsed(page.items))),
        Err(EngineError::RepositoryUnknown(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names of the grammar, sorted.
fn parsed<T: FromStr + Ord>(texts: Vec<String>) -> Vec<T> {
    let mut names: Vec<T> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    names.sort();
    names
}
