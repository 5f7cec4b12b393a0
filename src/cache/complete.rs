//! Completing: fetches what cached images lack, such as the layers that every client of theirs had already.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::fill::FillError;
use sampan_engine::oci::descriptor::Platform;
use sampan_engine::oci::media_type::is_nondistributable;
use sampan_engine::oci::{Descriptor, Digest, Manifest, Reference, RepositoryName, Tag};
use sampan_engine::{Registry, Stored};

use crate::caches::Caches;
use crate::error::{CacheError, Result};
use crate::handling::Handling;
use crate::repository::CachedRepository;
use crate::trials::ImageTrials;

/// A rule for platforms.
pub type PlatformRule = Box<dyn Fn(&Platform) -> bool + Send + Sync>;

/// Which images are completed, and how.
pub struct CompleteOptions {
    /// The platforms whose images are wanted.
    pub wants: PlatformRule,
    /// Only lists the missing content.
    pub dry_run: bool,
    /// How many blobs are fetched at a time; at least one.
    pub jobs: usize,
}

/// Content that a cached image lacks.
#[derive(Clone, Debug)]
pub struct Lack {
    /// The repository here.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The manifest or blob; `None` for a tag that is not cached at all.
    pub digest: Option<Digest>,
    /// Its length in bytes, if a manifest says it.
    pub size_bytes: Option<u64>,
    /// Whether it is here now; otherwise why not. `None` for a dry run.
    pub fetched: Option<Result<()>>,
}

/// The outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Completion {
    /// Tags that were looked at.
    pub tags: u64,
    /// Manifests and blobs that were missing.
    pub missing: u64,
    /// The length of the missing blobs.
    pub missing_bytes: u64,
    /// Of these, how many are missing still.
    pub left: u64,
}

impl Caches {
    /// Looks at all cached tags of the repositories that `selects` names, and fetches what they lack. `tell` hears of each. Waits
    /// for an upstream that counts as away, until a few images in a row did so without success.
    ///
    /// # Errors
    ///
    /// The store fails. What an upstream does not give is no error.
    pub async fn complete(
        &self,
        registry: &Registry,
        options: &CompleteOptions,
        selects: impl Fn(&RepositoryName) -> bool + Send + Sync,
        mut tell: impl FnMut(&Lack) + Send,
    ) -> Result<Completion> {
        self.upstreams().iter().for_each(|upstream| upstream.trials.renew());
        let mut completion = Completion::default();
        let mut last = String::new();
        loop {
            let shows = |name: &RepositoryName| selects(name) && self.of_stored(name).is_some();
            let page = registry.catalog_of(Some(&last), 100, shows).await?;
            for name in &page.items {
                let Ok(name) = name.parse::<RepositoryName>() else { continue };
                let mut tags = match registry.repository(name.clone()).tags().stream(None).await {
                    Ok(tags) => tags,
                    Err(sampan_engine::Error::RepositoryUnknown(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                while let Some(tag) = tags.try_next().await? {
                    let Ok(tag) = tag.parse::<Tag>() else { continue };
                    self.complete_tag(registry, options, &name, &tag, &mut completion, &mut tell).await?;
                }
            }
            match page.items.last() {
                Some(name) if page.has_more => last.clone_from(name),
                _ => return Ok(completion),
            }
        }
    }

    /// The same for one tag, which need not be cached yet.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete); also a repository that belongs to no upstream.
    pub async fn complete_tag(
        &self,
        registry: &Registry,
        options: &CompleteOptions,
        name: &RepositoryName,
        tag: &Tag,
        completion: &mut Completion,
        tell: &mut (impl FnMut(&Lack) + Send),
    ) -> Result<()> {
        let Some(cached) = self.of_stored(name) else {
            return Err(CacheError::RepositoryUnknown(name.clone(), Handling::NOT_STORED));
        };
        let cache = self.repository(cached, registry.repository(name.clone()));
        let trials = ImageTrials::new(&cache.name.upstream);
        let mut walk = Walk { cache: &cache, trials, tag, options, completion, tell, seen: HashSet::new() };
        walk.completion.tags += 1;
        walk.run().await
    }
}

/// The walk over one image.
struct Walk<'a, T> {
    cache: &'a CachedRepository,
    trials: ImageTrials<'a>,
    tag: &'a Tag,
    options: &'a CompleteOptions,
    completion: &'a mut Completion,
    tell: &'a mut T,
    seen: HashSet<Digest>,
}

impl<T: FnMut(&Lack) + Send> Walk<'_, T> {
    async fn run(&mut self) -> Result<()> {
        let stored = self.cache.bare().manifests();
        let top = match stored.digest(&Reference::Tag(self.tag.clone())).await {
            Ok(digest) => digest,
            Err(error) => {
                self.cache.lacks(error)?;
                let Some(stored) = self.fetch(&Reference::Tag(self.tag.clone())).await else { return Ok(()) };
                stored.digest
            }
        };
        let mut todo = vec![top];
        while let Some(digest) = todo.pop() {
            if !self.seen.insert(digest.clone()) {
                continue;
            }
            let Some(Read { manifest, is_proof }) = self.manifest(&digest).await? else { continue };
            let children = manifest.manifests.iter().filter(|child| self.is_wanted(child));
            todo.extend(children.map(|child| child.digest.clone()));
            self.blobs(&manifest, is_proof).await?;
        }
        Ok(())
    }

    /// Whether a child of an index is for a wanted platform. One without a platform is.
    fn is_wanted(&self, child: &Descriptor) -> bool {
        child.platform.as_ref().is_none_or(|platform| (self.options.wants)(platform))
    }

    /// Fetches a manifest that is not here, unless it is only to be listed.
    async fn fetch(&mut self, reference: &Reference) -> Option<Stored> {
        let fetched = match self.options.dry_run {
            true => None,
            false => Some(self.fetch_and_look(reference).await),
        };
        let stored = fetched.as_ref().and_then(|fetched| fetched.as_ref().ok()).cloned();
        let known = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => stored.as_ref().map(|stored| stored.digest.clone()),
        };
        let lack = self.lack(known, None, fetched.map(|fetched| fetched.map(drop)));
        self.count(lack);
        stored
    }

    /// Fetches a manifest, and fails unless the store has it then: a client is served what could not be stored.
    async fn fetch_and_look(&self, reference: &Reference) -> Result<Stored> {
        let (fetched, _) = self.trials.fetch(|| self.cache.manifest(reference)).await?;
        match self.cache.bare().manifests().digest(reference).await {
            Ok(digest) if digest == fetched.digest => Ok(fetched),
            Ok(_) | Err(sampan_engine::Error::ManifestUnknown(..) | sampan_engine::Error::Corrupt(..)) => {
                Err(CacheError::NotStored("the log has the reason".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn manifest(&mut self, digest: &Digest) -> Result<Option<Read>> {
        let reference = Reference::Digest(digest.clone());
        let stored = match self.cache.bare().manifests().get(&reference).await {
            Ok(stored) => Some(stored),
            Err(error) => {
                self.cache.lacks(error)?;
                self.fetch(&reference).await
            }
        };
        Ok(stored.and_then(|stored| Read::of(&stored.bytes)))
    }

    async fn blobs(&mut self, manifest: &Manifest, is_proof: bool) -> Result<()> {
        let needed = needed_blobs(manifest);
        let new: Vec<Descriptor> =
            needed.filter(|blob| self.seen.insert(blob.digest.clone())).cloned().collect();
        let (cache, trials, is_dry) = (self.cache, &self.trials, self.options.dry_run);
        let found: Vec<Option<Lack>> = stream::iter(new)
            .map(|blob| async move {
                if cache.has_blob(&blob).await? {
                    return Ok(None);
                }
                let fetched = match is_dry {
                    true => None,
                    false => Some(trials.fetch(|| cache.fetch_blob(&blob, is_proof)).await),
                };
                Ok::<_, CacheError>(Some((blob, fetched)))
            })
            .buffer_unordered(self.options.jobs.max(1))
            .map_ok(|found| {
                found.map(|(blob, fetched)| self.lack(Some(blob.digest), Some(blob.size), fetched))
            })
            .try_collect()
            .await?;
        for lack in found.into_iter().flatten() {
            self.count(lack);
        }
        Ok(())
    }

    fn lack(&self, digest: Option<Digest>, size_bytes: Option<u64>, fetched: Option<Result<()>>) -> Lack {
        let repository = self.cache.name.stored.clone();
        Lack { repository, tag: self.tag.clone(), digest, size_bytes, fetched }
    }

    fn count(&mut self, lack: Lack) {
        self.completion.missing += 1;
        self.completion.missing_bytes += lack.size_bytes.unwrap_or(0);
        self.completion.left += u64::from(!matches!(lack.fetched, Some(Ok(()))));
        (self.tell)(&lack);
    }
}

/// A stored manifest.
pub(crate) struct Read {
    pub(crate) manifest: Manifest,
    /// Whether every registry reads it so: otherwise the upstream may have looked for other blobs when it took it.
    pub(crate) is_proof: bool,
}

impl Read {
    /// `None` for an unknown kind of manifest, which refers to nothing.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let manifest = Manifest::parse(bytes, None).ok()?;
        Some(Self { manifest, is_proof: Manifest::parse_pushed(bytes, None).is_ok() })
    }
}

/// The blobs of a manifest that an upstream has to have.
pub(crate) fn needed_blobs(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let blobs = manifest.config.iter().chain(&manifest.layers);
    blobs.filter(|blob| blob.urls.is_empty() || !is_nondistributable(&blob.media_type))
}

/// The blobs that an upstream had in the repository when it took the manifest. Of a layer with URLs, or one that need not be
/// distributed, registries do not check that.
pub(crate) fn proven_blobs(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    manifest.config.iter().chain(&manifest.layers).filter(|blob| is_proven(blob))
}

fn is_proven(blob: &Descriptor) -> bool {
    blob.urls.is_empty() && !is_nondistributable(&blob.media_type)
}

impl CachedRepository {
    /// Whether the store has a blob, as long as its manifest says.
    pub(crate) async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        match self.bare().blobs().stat_described(&blob.digest, blob.size).await {
            Ok(_) => Ok(true),
            Err(sampan_engine::Error::BlobUnknown(..)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches a blob of a manifest, and waits until the store has it.
    pub(crate) async fn fetch_blob(&self, blob: &Descriptor, is_proof: bool) -> Result<()> {
        self.check_askable()?;
        if !is_proof || !is_proven(blob) {
            // The upstream says whether this repository has it.
            self.ask_for_size(&blob.digest).await?;
        }
        self.note_entitled(&blob.digest, blob.size);
        if self.link_if_here(&blob.digest).await? {
            return Ok(());
        }
        let unknown = || self.unknown_blob(&blob.digest, Handling::NOT_STORED);
        let (fill, _) = self.opened(&blob.digest).await?.ok_or_else(unknown)?;
        let stored = fill.stored().await;
        stored.map(drop).map_err(|error| match error {
            FillError::Unstored(reason, _) => CacheError::NotStored(reason.to_string()),
            error => self.fill_error(&blob.digest, error),
        })
    }
}
