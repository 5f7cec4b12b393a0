//! `Store`: reads an inventory from the store itself.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{ByteRange, StorageDriver};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest, Manifest, Reference, RepositoryName};
use sampan_engine::{Error, Registry, Repository};

use super::source::{LoadedManifest, SourceError};
use super::usage::Key;

/// The largest image configuration to read, in bytes.
pub(super) const SMALL_BYTES: u64 = 4 << 20;

/// The number of repositories per page.
const PAGE: usize = 1000;

/// A store, read through the engine.
#[derive(Debug)]
pub struct Store {
    registry: Registry,
}

impl Store {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    pub(super) async fn repositories(&self) -> Result<Vec<String>, SourceError> {
        let mut found = Vec::new();
        loop {
            let last: Option<String> = found.last().cloned();
            let page = self.registry.catalog(last.as_deref(), PAGE).await?;
            found.extend(page.items);
            if !page.has_more {
                return Ok(found);
            }
        }
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        let Some(repository) = self.repository(repository) else { return Ok(Vec::new()) };
        match repository.tags().list(None, None).await {
            Ok(page) => Ok(page.items),
            Err(Error::RepositoryUnknown(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
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
        let stored = match repository.manifests().get(&reference).await {
            Ok(stored) => stored,
            Err(Error::ManifestUnknown(..)) => return Ok(None),
            Err(error) if error.is_of_one_file() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size_bytes = stored.bytes.len() as u64;
        let manifest = Manifest::parse(&stored.bytes, None).ok();
        Ok(manifest.map(|manifest| LoadedManifest { digest: stored.digest, size_bytes, manifest }))
    }

    pub(super) async fn small_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Bytes>, SourceError> {
        let Some(repository) = self.repository(repository) else { return Ok(None) };
        let reader = match repository.blobs().read(digest, ByteRange::from(0)).await {
            Ok((blob, reader)) if blob.size_bytes <= SMALL_BYTES => reader,
            Ok(_) | Err(Error::BlobUnknown(..)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut content = Vec::new();
        let mut stream = reader.into_stream();
        while let Some(chunk) = stream.try_next().await.map_err(Error::from)? {
            content.extend_from_slice(&chunk);
        }
        Ok(Some(content.into()))
    }

    /// Gives the blobs of a manifest the digests under which the store has their data.
    pub(super) async fn make_canonical(
        &self,
        repository: &str,
        manifest: &mut Manifest,
    ) -> Result<(), SourceError> {
        let Some(repository) = self.repository(repository) else { return Ok(()) };
        let parts = manifest.config.iter_mut().chain(&mut manifest.layers);
        for part in parts.filter(|part| !part.digest.is_canonical()) {
            match repository.blobs().stat_and_lease(&part.digest).await {
                Ok(blob) => part.digest = blob.canonical,
                Err(Error::BlobUnknown(..)) => {}
                Err(error) if error.is_of_one_file() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All manifests of a repository, tagged or not.
    pub(super) async fn revisions(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        let Some(name) = repository.parse::<RepositoryName>().ok() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        // A manifest pushed under another algorithm has a link under this one too.
        let algorithm = Algorithm::Sha256;
        let mut entries = self.driver().list(&layout::revisions(&name, algorithm), None);
        while let Some(entry) = entries.try_next().await.map_err(Error::from)? {
            found.push(format!("{algorithm}:{}", entry.name()));
        }
        Ok(found)
    }

    /// The sizes of all blobs, referenced or not.
    pub(super) async fn blobs(&self) -> Result<HashMap<Key, u64>, SourceError> {
        let mut found = HashMap::new();
        let mut files = self.driver().walk(&layout::blobs_root(), None);
        while let Some(file) = files.next().await {
            let file = file.map_err(Error::from)?;
            if let Some(Entry::Blob(digest)) = Entry::parse(&file.path) {
                found.insert(Key::of(&digest), file.size_bytes);
            }
        }
        Ok(found)
    }

    fn repository(&self, name: &str) -> Option<Repository> {
        name.parse().ok().map(|name| self.registry.repository(name))
    }

    fn driver(&self) -> &dyn StorageDriver {
        &**self.registry.driver()
    }
}
