//! `TagDates`: when tags were pushed, in a repository that a migration has copied.
//!
//! No driver sets the time of a file, so in a copied store every tag looks as if it were pushed by the migration. The
//! migration therefore writes the times of the source to `sampan/dates/<repository>/_tags`, after the links. A time counts
//! as long as the tag's link is no younger than that file: each push writes the link again, and then its own time counts. Both
//! times are of one store's clock; where it counts in whole seconds, a push in the second of the copy shows the older time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use sampan_driver::{StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use crate::clock::{millis, time_of};
use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName, Tag};

/// When tags of one repository were pushed.
#[derive(Debug)]
pub(crate) struct TagDates {
    /// When the file was written, by the clock of its store.
    written: SystemTime,
    /// The file.
    content: Bytes,
    /// The time of each tag's present manifest, in milliseconds since 1970.
    current: HashMap<Tag, u64>,
    /// The times of the entries in the history of the tags.
    history: HashMap<(Tag, Digest), u64>,
}

/// When a tag was pointed at a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TagDate {
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) pushed: SystemTime,
    /// It is the time of the tag, and not that of an entry in its history.
    pub(crate) is_current: bool,
}

/// A line of the file. The tag and the digest are parsed apart.
#[derive(Deserialize, Serialize)]
struct Line {
    tag: String,
    digest: String,
    pushed_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    current: bool,
}

/// The longest file in bytes: the times of some 200,000 pushes.
const MAX_BYTES: usize = 32 << 20;

impl TagDates {
    /// Reads the times of a repository; `None` if it has none, or too many to be ours. Damaged lines are left out: a time is
    /// no more than a hint.
    pub(crate) async fn read(
        driver: &Arc<dyn StorageDriver>,
        name: &RepositoryName,
    ) -> sampan_driver::Result<Option<Self>> {
        let path = Entry::TagDates(name.clone()).path();
        let Some(file) = driver.stat_if_any(&path).await? else { return Ok(None) };
        if file.size_bytes > MAX_BYTES as u64 {
            return Ok(None);
        }
        let Some(content) = driver.get_content_if_any(&path).await? else { return Ok(None) };
        Ok(Some(Self::parse(content, file.modified)))
    }

    fn parse(content: Bytes, written: SystemTime) -> Self {
        let (mut current, mut history) = (HashMap::new(), HashMap::new());
        for line in content.split(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
            let (Ok(tag), Ok(digest)) = (line.tag.parse::<Tag>(), line.digest.parse::<Digest>()) else {
                continue;
            };
            match line.current {
                true => _ = current.insert(tag, line.pushed_ms),
                false => _ = history.insert((tag, digest), line.pushed_ms),
            }
        }
        Self { written, content, current, history }
    }

    /// The file of these times, the present ones first. Those beyond 32 MiB are left out.
    pub(crate) fn to_bytes(dates: &[TagDate]) -> Bytes {
        let mut dates: Vec<&TagDate> = dates.iter().collect();
        dates.sort_by(|a, b| {
            let key = |date: &TagDate| (!date.is_current, std::cmp::Reverse(date.pushed));
            key(a).cmp(&key(b)).then_with(|| (&a.tag, &a.digest).cmp(&(&b.tag, &b.digest)))
        });
        let mut content = Vec::new();
        for date in dates {
            let line = Line {
                tag: date.tag.to_string(),
                digest: date.digest.to_string(),
                pushed_ms: millis(date.pushed),
                current: date.is_current,
            };
            let line = serde_json::to_vec(&line).unwrap_or_default();
            if content.len() + line.len() >= MAX_BYTES {
                break;
            }
            content.extend(line);
            content.push(b'\n');
        }
        content.into()
    }

    /// Whether the file has this content, and the youngest link, of the time `newest`, is no younger.
    pub(crate) fn is_current(&self, content: &Bytes, newest: SystemTime) -> bool {
        self.content == *content && newest <= self.written
    }

    /// When the tag was pushed whose link was written at `modified`.
    pub(crate) fn pushed(&self, tag: &Tag, modified: SystemTime) -> SystemTime {
        self.or(self.current.get(tag), modified)
    }

    /// When the tag was last pointed at the digest whose link in its history was written at `modified`.
    pub(crate) fn pointed(&self, tag: &Tag, digest: &Digest, modified: SystemTime) -> SystemTime {
        self.or(self.history.get(&(tag.clone(), digest.clone())), modified)
    }

    /// The latest push of any tag in a repository whose youngest link was written at `newest`.
    pub(crate) fn latest(&self, newest: SystemTime) -> SystemTime {
        self.or(self.current.values().max(), newest)
    }

    fn or(&self, recorded_ms: Option<&u64>, modified: SystemTime) -> SystemTime {
        match recorded_ms {
            // A time after the copy comes from a clock that was wrong.
            Some(ms) if modified <= self.written => time_of(*ms).min(modified),
            _ => modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(tag: &str, number: u8, pushed_ms: u64, is_current: bool) -> TagDate {
        let digest = Digest::sha256_of(&[number]);
        TagDate { tag: tag.parse().unwrap(), digest, pushed: time_of(pushed_ms), is_current }
    }

    #[test]
    fn a_time_counts_until_the_tag_is_pushed_again() {
        let content = TagDates::to_bytes(&[date("a", 1, 500, true), date("a", 2, 400, false)]);
        let dates = TagDates::parse(content.clone(), time_of(1000));
        let (tag, other): (Tag, Tag) = ("a".parse().unwrap(), "b".parse().unwrap());
        let old = Digest::sha256_of(&[2]);
        for (modified, pushed, pointed) in
            [(1000, 500, 400), (900, 500, 400), (1001, 1001, 1001), (300, 300, 300)]
        {
            assert_eq!(dates.pushed(&tag, time_of(modified)), time_of(pushed), "{modified}");
            assert_eq!(dates.pointed(&tag, &old, time_of(modified)), time_of(pointed), "{modified}");
        }
        assert_eq!(dates.pushed(&other, time_of(900)), time_of(900));
        assert_eq!(dates.latest(time_of(900)), time_of(500));
        assert!(dates.is_current(&content, time_of(1000)));
        assert!(!dates.is_current(&content, time_of(1001)));
        assert!(!dates.is_current(&Bytes::new(), time_of(1000)));
    }

    #[test]
    fn lines_that_are_damaged_are_left_out() {
        let whole = TagDates::to_bytes(&[date("a", 1, 500, true)]);
        let text =
            [b"x\n{\"tag\":\"..\",\"digest\":\"\",\"pushed_ms\":1}\n".as_slice(), &whole, b"{\"tag\":"]
                .concat();
        let dates = TagDates::parse(text.into(), time_of(1000));
        assert_eq!((dates.current.len(), dates.history.len()), (1, 0));
    }

    #[test]
    fn the_order_of_the_times_does_not_change_the_file() {
        let (a, b) = (date("a", 1, 500, true), date("a", 2, 400, false));
        assert_eq!(TagDates::to_bytes(&[a.clone(), b.clone()]), TagDates::to_bytes(&[b, a]));
    }
}
