//! `TagTimes`: when tags were last pointed at their manifests, and the history of one tag.
//!
//! The times are those of the store's links: each push of a tag writes its link anew. A copy of the store by another program
//! may give all links the time of the copy.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::ready;
use std::time::SystemTime;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::StorageDriverExt;

use crate::layout::{self, Entry};
use crate::oci::{Digest, Tag};
use crate::{Error, Result, TagStore};

/// Items with the times at which a tag was pointed there, the latest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagTimes<T> {
    /// The items, the latest first; those of one time in their own order.
    pub items: Vec<Pointed<T>>,
    /// The number of earlier items, for which there was no room.
    pub left_out: u64,
}

/// A tag, or a digest, and when the tag was last pointed there.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Pointed<T> {
    /// The time, by the clock of the store.
    pub at: SystemTime,
    /// The tag or the digest.
    pub what: T,
}

/// How many bytes of tags a list has at most: some 60,000 tags of usual length.
const MAX_TAG_BYTES: usize = 8 << 20;

/// How many bytes of digests the history of a tag has at most: some 5,000 digests.
const MAX_HISTORY_BYTES: usize = 1 << 20;

/// How many tags of a directory are looked at concurrently.
const CONCURRENT_STATS: usize = 16;

impl TagStore {
    /// All tags with the time at which each was last pointed at its manifest, the latest first.
    ///
    /// The list has 8 MiB at most; then the earliest are left out. It reads no link, so it takes one walk of the tags in a
    /// store without directories, and one stat for each tag in any other.
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
        while let Some(tag) = tags.try_next().await? {
            latest.add(tag);
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
        let mut files = self.driver().walk(&layout::tag_history(&self.repository.name, tag), None);
        while let Some(file) = files.try_next().await? {
            if let Some(Entry::TagIndex(_, _, digest)) = Entry::parse(&file.path) {
                latest.add(Pointed { at: file.modified, what: digest });
            }
        }
        Ok(latest.into_times())
    }

    fn walk_times(&self) -> BoxStream<'static, Result<Pointed<Tag>>> {
        let files = self.driver().walk(&layout::tags(&self.repository.name), None).map_err(Error::from);
        let tags = files.try_filter_map(|file| {
            ready(Ok(match Entry::parse(&file.path) {
                Some(Entry::TagCurrent(_, tag)) => Some(Pointed { at: file.modified, what: tag }),
                _ => None,
            }))
        });
        tags.boxed()
    }

    /// A walk of directories opens several for each tag; a stat does not.
    async fn stat_times(&self) -> Result<BoxStream<'static, Result<Pointed<Tag>>>> {
        let (name, driver) = (self.repository.name.clone(), self.driver().clone());
        let tags = match self.stream(None).await {
            Ok(tags) => tags,
            Err(Error::RepositoryUnknown(_)) => return Ok(futures::stream::empty().boxed()),
            Err(error) => return Err(error),
        };
        let times = tags
            .try_filter_map(|tag| ready(Ok(tag.parse::<Tag>().ok())))
            .map_ok(move |tag| {
                let (driver, current) = (driver.clone(), Entry::TagCurrent(name.clone(), tag.clone()).path());
                async move {
                    // A tag that was removed meanwhile has no time.
                    let file = driver.stat_if_any(&current).await?;
                    Ok(file.map(|file| Pointed { at: file.modified, what: tag }))
                }
            })
            .try_buffered(CONCURRENT_STATS)
            .try_filter_map(|pointed| ready(Ok(pointed)));
        Ok(times.boxed())
    }
}

/// The latest items that fit into a number of bytes.
struct Latest<T> {
    /// The earliest is on top; of items of one time, the last in order.
    heap: BinaryHeap<Reverse<(SystemTime, Reverse<T>)>>,
    room_bytes: usize,
    text_bytes: fn(&T) -> usize,
    left_out: u64,
}

impl<T: Ord> Latest<T> {
    fn new(room_bytes: usize, text_bytes: fn(&T) -> usize) -> Self {
        Self { heap: BinaryHeap::new(), room_bytes, text_bytes, left_out: 0 }
    }

    fn add(&mut self, Pointed { at, what }: Pointed<T>) {
        let needed = self.bytes(&what);
        self.heap.push(Reverse((at, Reverse(what))));
        self.room_bytes = match self.room_bytes.checked_sub(needed) {
            Some(room) => room,
            None => self.make_room(needed - self.room_bytes),
        };
    }

    /// Drops the earliest items until there are `needed` bytes more; returns what is left over.
    fn make_room(&mut self, needed: usize) -> usize {
        let mut freed = 0;
        while freed < needed
            && let Some(Reverse((_, Reverse(earliest)))) = self.heap.pop()
        {
            freed += self.bytes(&earliest);
            self.left_out += 1;
        }
        freed.saturating_sub(needed)
    }

    /// The text, its allocation and the time.
    fn bytes(&self, what: &T) -> usize {
        (self.text_bytes)(what) + 64
    }

    fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn into_times(self) -> TagTimes<T> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        let items = sorted.map(|Reverse((at, Reverse(what)))| Pointed { at, what }).collect();
        TagTimes { items, left_out: self.left_out }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pointed(secs: u64, what: &str) -> Pointed<Tag> {
        Pointed { at: SystemTime::UNIX_EPOCH + Duration::from_secs(secs), what: what.parse().unwrap() }
    }

    fn latest(room_bytes: usize, items: &[(u64, &str)]) -> (Vec<String>, u64) {
        let mut latest = Latest::new(room_bytes, |tag: &Tag| tag.as_str().len());
        items.iter().for_each(|(secs, what)| latest.add(pointed(*secs, what)));
        let times = latest.into_times();
        (times.items.iter().map(|item| item.what.to_string()).collect(), times.left_out)
    }

    #[test]
    fn the_latest_come_first_and_those_of_one_time_by_name() {
        let items = [(5, "b"), (9, "z"), (5, "a"), (7, "c"), (5, "c")];
        assert_eq!(latest(1000, &items), (["z", "c", "a", "b", "c"].map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn the_earliest_are_left_out_where_there_is_no_room() {
        let items = [(5, "b"), (9, "z"), (5, "a"), (7, "c"), (6, "d")];
        assert_eq!(latest(2 * 65, &items), (["z", "c"].map(str::to_owned).to_vec(), 3));
        assert_eq!(latest(2 * 65 + 64, &items), (["z", "c"].map(str::to_owned).to_vec(), 3));
        let long = "x".repeat(128);
        let items = [(1, "a"), (2, "b"), (3, long.as_str()), (4, "c")];
        assert_eq!(latest(192 + 65, &items), (vec!["c".to_owned(), long.clone()], 2));
        assert_eq!(latest(64, &items), (Vec::new(), 4));
    }

    #[test]
    fn a_hundred_thousand_of_the_longest_tags_take_no_more_than_their_share() {
        let mut latest = Latest::new(MAX_TAG_BYTES, |tag: &Tag| tag.as_str().len());
        for number in 0..100_000 {
            latest.add(pointed(number, &format!("{number:0>128}")));
        }
        let times = latest.into_times();
        assert_eq!(times.items.len(), MAX_TAG_BYTES / 192);
        assert_eq!(times.items.len() as u64 + times.left_out, 100_000);
        assert_eq!(times.items[0].what.as_str(), format!("{:0>128}", 99_999));
    }
}
