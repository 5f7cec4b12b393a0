//! `TagTimes`: when tags were last pointed at their manifests, and the history of one tag.
//!
//! The times are those of the store's links: each push of a tag writes its link again. In a store that a migration has filled,
//! the times of the store that it copied count until the next push ([`TagDates`]). A copy of the store by another program may
//! give all links the time of the copy.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{BoxStream, TryChunksError};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{StorageDriver, StorageDriverExt};

use crate::block_on_thread::block_on_thread;
use crate::latest::Latest;
use crate::layout::{self, Entry};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::tag_dates::TagDates;
use crate::{Error, Result, TagStore};

/// Items with the times at which a tag was pointed there, the latest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagTimes<T> {
    /// The items, the latest first; those of one time in their own order.
    pub items: Vec<Dated<T>>,
    /// The number of earlier items, for which there was no room.
    pub left_out: u64,
}

/// A tag, or a digest, and when the tag was last pointed there.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Dated<T> {
    /// The time, by the clock of the store.
    pub at: SystemTime,
    /// The tag or the digest.
    pub what: T,
}

/// How many bytes of tags a list has at most: some 60,000 tags of usual length.
pub(crate) const MAX_TAG_BYTES: usize = 8 << 20;

/// How many bytes of digests the history of a tag has at most: some 5,000 digests.
const MAX_HISTORY_BYTES: usize = 1 << 20;

/// How many tags of a directory are looked at together. A list that is longer is looked at on several threads: the stats of ten
/// thousand tags would keep the thread of a request for a twentieth of a second.
const TAGS_AT_ONCE: usize = 256;

/// How many threads look at tags.
const THREADS: usize = 4;

/// How many tags a task looks at concurrently; a thread of its own waits for each.
const CONCURRENT_STATS: usize = 16;

impl TagStore {
    /// All tags with the time at which each was last pointed at its manifest, the latest first.
    ///
    /// The list has 8 MiB at most; then the earliest are left out. It reads no link, so it takes one walk of the tags in a
    /// store without directories, and one stat for each tag in any other, and reads one more file.
    ///
    /// # Errors
    ///
    /// `RepositoryUnknown` when the repository has no manifest; any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.times", skip_all)]
    pub async fn times(&self) -> Result<TagTimes<Tag>> {
        let mut latest = Latest::new(MAX_TAG_BYTES, |tag: &Tag| tag.as_str().len());
        let mut tags = match self.driver().capabilities().flat {
            true => self.walk_times(),
            false => self.stat_times().await?,
        };
        let dates = TagDates::read(self.driver(), &self.repository.name).await?;
        while let Some(Dated { at, what }) = tags.try_next().await? {
            let at = dates.as_ref().map_or(at, |dates| dates.pushed(&what, at));
            latest.add(Dated { at, what });
        }
        if latest.is_empty() && !self.repository_exists().await? {
            return Err(Error::RepositoryUnknown(self.repository.name.clone()));
        }
        Ok(latest.into_times())
    }

    /// The digests that the tag has pointed at, each with the last time at which it was pointed there, the latest first. It
    /// is empty if the tag does not exist; a collection removes what no longer exists.
    ///
    /// The list has 1 MiB at most; then the earliest are left out.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.history", skip_all)]
    pub async fn history(&self, tag: &Tag) -> Result<TagTimes<Digest>> {
        let mut latest = Latest::new(MAX_HISTORY_BYTES, |digest: &Digest| digest.hex().len());
        let dates = TagDates::read(self.driver(), &self.repository.name).await?;
        let mut files = self.driver().walk(&layout::tag_history(&self.repository.name, tag), None);
        while let Some(file) = files.try_next().await? {
            if let Some(Entry::TagIndex(_, _, digest)) = Entry::parse(&file.path) {
                let at = file.modified;
                let at = dates.as_ref().map_or(at, |dates| dates.pointed(tag, &digest, at));
                latest.add(Dated { at, what: digest });
            }
        }
        Ok(latest.into_times())
    }

    fn walk_times(&self) -> BoxStream<'static, Result<Dated<Tag>>> {
        let files = self.driver().walk(&layout::tags(&self.repository.name), None).map_err(Error::from);
        let tags = files.try_filter_map(|file| {
            ready(Ok(match Entry::parse(&file.path) {
                Some(Entry::TagCurrent(_, tag)) => Some(Dated { at: file.modified, what: tag }),
                _ => None,
            }))
        });
        tags.boxed()
    }

    /// A walk of directories opens several for each tag; a stat does not.
    async fn stat_times(&self) -> Result<BoxStream<'static, Result<Dated<Tag>>>> {
        let (name, driver) = (self.repository.name.clone(), self.driver().clone());
        let tags = match self.stream(None).await {
            Ok(tags) => tags,
            Err(Error::RepositoryUnknown(_)) => return Ok(futures::stream::empty().boxed()),
            Err(error) => return Err(error),
        };
        let times = tags
            .try_filter_map(|tag| ready(Ok(tag.parse::<Tag>().ok())))
            .try_chunks(TAGS_AT_ONCE)
            .map_err(|TryChunksError(_, error)| error)
            .map_ok(move |tags| {
                let is_long = tags.len() == TAGS_AT_ONCE;
                let times = times_of(driver.clone(), name.clone(), tags);
                async move {
                    match is_long {
                        true => match block_on_thread(times).await {
                            Some(times) => times,
                            // The runtime is shutting down.
                            None => pending().await,
                        },
                        false => times.await,
                    }
                }
            })
            .try_buffered(THREADS)
            .map_ok(|times| futures::stream::iter(times.into_iter().map(Ok)))
            .try_flatten();
        Ok(times.boxed())
    }
}

/// When tags were pushed, by their links. A tag that was removed meanwhile has no time.
async fn times_of(
    driver: Arc<dyn StorageDriver>,
    name: RepositoryName,
    tags: Vec<Tag>,
) -> Result<Vec<Dated<Tag>>> {
    let stats = futures::stream::iter(tags).map(|tag| {
        let current = Entry::TagCurrent(name.clone(), tag.clone()).path();
        let driver = driver.clone();
        async move {
            let file = driver.stat_if_any(&current).await?;
            Ok::<_, Error>(file.map(|file| Dated { at: file.modified, what: tag }))
        }
    });
    stats.buffered(CONCURRENT_STATS).try_filter_map(|pointed| ready(Ok(pointed))).try_collect().await
}
