//! `TagSizes`: how large the images of tags are, for lists that are sorted by it.
//!
//! To learn the size of a tag's image, its link, manifest and configuration are read. So a list of many tags learns only some at
//! a time, and a size is kept for as long as the tag's link is as old as it was. A size is a hint for an order: what a row shows
//! comes from the store.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use quick_cache::sync::Cache;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Dated, Error, ImageSummary, Repository};
use tokio::task::yield_now;
use tokio::time::Instant;

/// The most sizes that are kept: some 16 MiB.
const MAX_KEPT: usize = 200_000;

/// The most sizes that one list learns.
const MAX_LEARNED: usize = 1000;

/// For how long one list learns sizes.
const LEARN_TIMEOUT: Duration = Duration::from_millis(200);

/// How many images are read from the store at a time.
const CONCURRENT_READS: usize = 8;

/// A link that is younger may be written again within the precision of the store's times, so its size is not kept.
const SETTLE_DELAY: Duration = Duration::from_secs(3);

/// How long the size of an incomplete image counts: a push may complete it.
const INCOMPLETE_TTL: Duration = Duration::from_secs(60);

/// The sizes that were learned.
pub(crate) struct TagSizes {
    /// By a hash of repository, tag and time, so that each takes the same memory, however long the names are.
    known: Cache<u128, KnownSize>,
    seeds: [RandomState; 2],
}

#[derive(Clone, Copy)]
struct KnownSize {
    size_bytes: u64,
    /// `None` if the size never changes.
    until: Option<Instant>,
}

impl Default for TagSizes {
    fn default() -> Self {
        Self { known: Cache::new(MAX_KEPT), seeds: [RandomState::new(), RandomState::new()] }
    }
}

impl TagSizes {
    /// The size of each tag's image in bytes, as far as it is known; 0 for a tag without an image.
    ///
    /// With `learn`, it reads images from the store, those of the first tags first, for a bounded time.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn of(
        &self,
        repository: &Repository,
        tags: &[Dated<Tag>],
        learn: bool,
    ) -> Result<Vec<Option<u64>>, Error> {
        let keys: Vec<u128> = tags.iter().map(|tag| self.key(repository.name(), tag)).collect();
        let mut sizes: Vec<Option<u64>> = keys.iter().map(|key| self.get(*key)).collect();
        if !learn {
            return Ok(sizes);
        }
        let (begin, now) = (Instant::now(), SystemTime::now());
        let unknown = tags.iter().zip(&keys).enumerate().filter(|(place, _)| sizes[*place].is_none());
        let unknown = unknown.map(|(place, (tag, key))| (place, tag.clone(), *key));
        let unknown: Vec<_> = unknown.take(MAX_LEARNED).collect();
        let reads = stream::iter(unknown).map(|(place, tag, key)| async move {
            // A store that answers at once would keep other requests from this thread.
            yield_now().await;
            tagged_image(repository, &tag.what).await.map(|image| (place, tag, key, image))
        });
        let mut reads = reads.buffer_unordered(CONCURRENT_READS);
        while let Some((place, tag, key, image)) = reads.try_next().await? {
            let summary = image.map(|(_, summary)| summary);
            let size_bytes = summary.as_ref().map_or(0, |summary| summary.size_bytes);
            sizes[place] = Some(size_bytes);
            if now.duration_since(tag.at).is_ok_and(|age| age >= SETTLE_DELAY) {
                let is_final = summary.is_some_and(|summary| summary.is_final());
                let until = (!is_final).then(|| Instant::now() + INCOMPLETE_TTL);
                self.known.insert(key, KnownSize { size_bytes, until });
            }
            if begin.elapsed() >= LEARN_TIMEOUT {
                break;
            }
        }
        Ok(sizes)
    }

    fn get(&self, key: u128) -> Option<u64> {
        let known = self.known.get(&key)?;
        known.until.is_none_or(|until| Instant::now() < until).then_some(known.size_bytes)
    }

    fn key(&self, name: &RepositoryName, tag: &Dated<Tag>) -> u128 {
        let of = |seed: &RandomState| u128::from(seed.hash_one((name.as_str(), tag.what.as_str(), tag.at)));
        let [high, low] = &self.seeds;
        of(high) << 64 | of(low)
    }
}

/// The image that a tag points at; `None` if it cannot be found.
///
/// # Errors
///
/// Any error of the store.
pub(crate) async fn tagged_image(
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<(Digest, Arc<ImageSummary>)>, Error> {
    match repository.manifests().digest(&Reference::Tag(tag.clone())).await {
        Ok(digest) => match repository.summary(&digest).await {
            Ok(summary) => Ok(Some((digest, summary))),
            Err(Error::ManifestUnknown(..)) => Ok(None),
            Err(error) => Err(error),
        },
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Debug for TagSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagSizes").field("kept", &self.known.len()).finish_non_exhaustive()
    }
}
