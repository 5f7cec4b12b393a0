//! `Referrers`: which manifests are attached to another by their `subject`.
//!
//! There is no index to go stale: the truth is the repository's revision links. What a manifest refers to never changes, so
//! it is read once per process and remembered by digest; a listing compares the links with what is remembered.
//! Deletions, other processes and stores written by Distribution are thereby seen at once.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt;
use quick_cache::sync::Cache;
use sampan_driver::{StorageDriver, StorageDriverExt};

use crate::layout::{self, Entry};
use crate::manifest_store::ManifestStore;
use crate::oci::{Algorithm, Descriptor, Digest, Manifest, Tag};
use crate::{Error, Repository, Result, link};

/// The manifests of one repository, seen from their subjects.
#[derive(Clone, Debug)]
pub struct Referrers {
    repository: Repository,
}

/// What is remembered of a manifest: its subject, and how it is listed; nothing when it has no subject.
pub(crate) type Known = Option<Arc<(Digest, Descriptor)>>;

/// What is remembered of manifests by canonical digest.
#[derive(Debug)]
pub(crate) struct ReferrerCache(Cache<Digest, Known>);

impl Default for ReferrerCache {
    fn default() -> Self {
        // Some 200 bytes each.
        Self(Cache::new(100_000))
    }
}

/// The digests of one manifest, of several algorithms, as far as the repository knows them.
struct Names {
    asked: Digest,
    canonical: Option<Digest>,
    /// Those that were looked up, and whether they are of it. There are few of them.
    aliases: BTreeMap<Digest, bool>,
}

impl Names {
    async fn of(referrers: &Referrers, asked: &Digest) -> Result<Self> {
        let canonical = match asked.is_canonical() {
            true => Some(asked.clone()),
            false => referrers.canonical(asked).await?,
        };
        Ok(Self { asked: asked.clone(), canonical, aliases: BTreeMap::new() })
    }

    async fn contain(&mut self, referrers: &Referrers, subject: &Digest) -> Result<bool> {
        if *subject == self.asked || Some(subject) == self.canonical.as_ref() {
            return Ok(true);
        }
        if subject.is_canonical() || self.canonical.is_none() {
            return Ok(false);
        }
        if let Some(known) = self.aliases.get(subject) {
            return Ok(*known);
        }
        let is_same = referrers.canonical(subject).await? == self.canonical;
        self.aliases.insert(subject.clone(), is_same);
        Ok(is_same)
    }
}

/// How many manifests are read at a time.
const CONCURRENT_READS: usize = 16;

impl Referrers {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// The manifests attached to `subject`, which need not exist, in the order of their digests.
    ///
    /// Listed are those whose `subject` it is, and those in the index under the fallback tag of the referrers tag schema
    /// (OCI distribution-spec, "Referrers Tag Schema"), as far as they are in the repository.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with. A manifest that cannot be read is left out and logged.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.referrers.list",
        skip_all
    )]
    pub async fn list(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut found = BTreeMap::new();
        let mut names = Names::of(self, subject).await?;
        let revisions =
            self.driver().list(&layout::revisions(&self.repository.name, Algorithm::Sha256), None);
        let known = revisions
            .map_err(Error::from)
            .try_filter_map(async |entry| Ok(format!("sha256:{}", entry.name()).parse::<Digest>().ok()))
            .map_ok(|digest| async move { Ok((self.known(&digest).await?, digest)) })
            .try_buffer_unordered(CONCURRENT_READS);
        let mut known = pin!(known);
        while let Some((known, digest)) = known.try_next().await? {
            let Some(known) = known else { continue };
            if names.contain(self, &known.0).await? && self.is_linked(&digest).await? {
                found.insert(digest, known.1.clone());
            }
        }
        let mut in_fallback_tags = self.in_fallback_tag(subject).await?;
        if let Some(canonical) = names.canonical.filter(|canonical| canonical != subject) {
            in_fallback_tags.extend(self.in_fallback_tag(&canonical).await?);
        }
        for descriptor in in_fallback_tags {
            if !found.contains_key(&descriptor.digest) && self.is_linked(&descriptor.digest).await? {
                found.insert(descriptor.digest.clone(), descriptor);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Remembers a manifest that was just read or stored.
    pub(crate) fn remember(&self, canonical: &Digest, manifest: &Manifest, size_bytes: u64) -> Known {
        let known = manifest.subject.as_ref().map(|subject| {
            let descriptor = Descriptor {
                media_type: manifest.kind.media_type().to_owned(),
                digest: canonical.clone(),
                size: size_bytes,
                artifact_type: manifest.effective_artifact_type().map(str::to_owned),
                annotations: manifest.annotations.clone(),
                urls: Vec::new(),
                platform: None,
            };
            Arc::new((subject.digest.clone(), descriptor))
        });
        self.cache().insert(canonical.clone(), known.clone());
        known
    }

    async fn known(&self, digest: &Digest) -> Result<Known> {
        if let Some(known) = self.cache().get(digest) {
            return Ok(known);
        }
        let path = Entry::Blob(digest.clone()).path();
        let Some(bytes) = self.driver().get_content_if_any(&path).await? else { return Ok(None) };
        match ManifestStore::verify(&path, digest, &bytes) {
            Ok(manifest) => Ok(self.remember(digest, &manifest, bytes.len() as u64)),
            Err(error) => {
                tracing::warn!(repository = %self.repository.name, %digest, %error, "{digest} is left out of the referrers");
                Ok(None)
            }
        }
    }

    async fn in_fallback_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let Ok(tag) = format!("{}-{}", subject.algorithm(), subject.hex()).parse::<Tag>() else {
            return Ok(Vec::new()); // A sha512 digest is too long for a tag.
        };
        match self.repository.manifests().fetch(&tag.into()).await {
            Ok(stored) => {
                Ok(Manifest::parse(&stored.bytes, None).map(|index| index.manifests).unwrap_or_default())
            }
            Err(Error::ManifestUnknown(..)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn is_linked(&self, digest: &Digest) -> Result<bool> {
        Ok(self.canonical(digest).await?.is_some())
    }

    /// What a manifest of the repository is stored under.
    async fn canonical(&self, digest: &Digest) -> Result<Option<Digest>> {
        let name = &self.repository.name;
        link::resolve(self.driver(), digest, |digest| Entry::RevisionLink(name.clone(), digest)).await
    }

    fn cache(&self) -> &Cache<Digest, Known> {
        &self.repository.registry.inner.referrers.0
    }

    fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}
