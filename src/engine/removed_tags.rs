//! `RemovedTags`: the record of the tags that deletions removed, so that a person can point them there again.
//!
//! Each removal has one file, `sampan/removed/<repository>/_tags/<tag>/<ms>-<algorithm>-<hex>`, created before the
//! tag goes: a crash leaves a record too many, never one too few. Its name has the tag and its manifest; the content adds
//! the user that removed the tag, and the children of an index that the repository had. No file is ever changed, so no two
//! processes change one.
//!
//! A record keeps nothing from collection. A collection deletes the records of manifests that are gone, those older than
//! [`MAX_AGE`], and the earliest of a repository beyond [`MAX_RECORDS`].

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use sampan_driver::{ErrorKind, FileInfo, PutMode, StorageDriverExt};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::clock::{millis, time_of};
use crate::descendants::Descendants;
use crate::latest::Latest;
use crate::layout::{self, Entry};
use crate::oci::{Digest, Tag};
use crate::space_reserve::put_in_reserve;
use crate::{Dated, Error, Repository, Result, TagStore};

/// A tag that a deletion removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemovedTag {
    /// The tag.
    pub tag: Tag,
    /// The digest that it pointed at.
    pub digest: Digest,
    /// When it was removed, by the clock of the registry that did.
    pub at: SystemTime,
    /// The user or rule that removed it.
    pub by: Remover,
}

/// Removed tags, the latest removal first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemovedTags {
    /// The removals, the latest first. A removal that a crash interrupted is among them although the tag is there.
    pub items: Vec<RemovedTag>,
    /// The number of earlier removals beyond the limit.
    pub left_out: u64,
    /// There are more records than 100,000, and the rest was not read, which may be the latest.
    pub is_cut: bool,
}

/// The user or rule that removes tags through a handle of a repository.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remover {
    /// The caller did not say.
    #[default]
    Unknown,
    /// The user of a request.
    User(String),
}

/// The content of a record.
#[derive(Deserialize, Serialize)]
struct Record {
    tag: String,
    digest: String,
    removed_ms: u64,
    /// The digest of the push, if that is not the canonical one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed_as: Option<String>,
    #[serde(default, deserialize_with = "known_or_default")]
    by: Remover,
    /// The children of an index, and theirs, that the repository had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    descendants: Vec<String>,
}

/// The fields of a record of a removal, beside its name.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    /// The canonical digest of the manifest.
    pub(crate) digest: Digest,
    /// The digest of the push, if that is not the canonical one.
    pub(crate) pushed_as: Option<Digest>,
    /// The children of an index, and theirs, that the repository had.
    pub(crate) descendants: BTreeSet<Digest>,
}

/// The age at which a collection deletes a record.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How many records of a repository a collection leaves.
pub(crate) const MAX_RECORDS: usize = 10_000;

/// How many records a listing reads at most.
const MAX_READ: usize = 100_000;

/// How many bytes of tags and digests a listing has at most.
const MAX_LIST_BYTES: usize = 4 << 20;

/// A record is shorter; any other file is not read.
const MAX_RECORD_BYTES: u64 = 32 << 10;

/// The longest text of a remover, in bytes.
const MAX_REMOVER_BYTES: usize = 256;

const CONCURRENT_READS: usize = 8;

impl Repository {
    /// The same repository, whose handles remove tags in the name of `remover`.
    #[must_use]
    pub fn removing_as(mut self, remover: Remover) -> Self {
        self.remover = remover.bounded();
        self
    }
}

impl Remover {
    fn bounded(self) -> Self {
        let cut = |text: String| text[..text.floor_char_boundary(MAX_REMOVER_BYTES)].to_owned();
        match self {
            Self::Unknown => Self::Unknown,
            Self::User(name) => Self::User(cut(name)),
        }
    }
}

impl TagStore {
    /// The latest `limit` removals of tags, of one tag if it is given, with what removed them.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.removed", skip_all)]
    pub async fn removed(&self, tag: Option<&Tag>, limit: usize) -> Result<RemovedTags> {
        let (latest, is_cut) = self.removals(tag, MAX_READ).await?;
        let mut latest = latest.into_times();
        let beyond = latest.items.len().saturating_sub(limit);
        latest.items.truncate(limit);
        let items = stream::iter(latest.items).map(|removal| self.read_removal(removal));
        let items = items.buffered(CONCURRENT_READS).try_collect().await?;
        Ok(RemovedTags { items, left_out: latest.left_out + beyond as u64, is_cut })
    }

    /// The recorded removals, from the names of the records alone, and whether there are more than `most`. Then the others are
    /// not read.
    async fn removals(&self, tag: Option<&Tag>, most: usize) -> Result<(Latest<(Tag, Digest)>, bool)> {
        let name = &self.repository.name;
        let directory = match tag {
            Some(tag) => layout::removed_tag(name, tag),
            None => layout::removed_tags(name),
        };
        latest_of(self.driver().walk(&directory, None), most).await
    }

    /// The digest that the tag was last removed from, as far as removals are read.
    pub(crate) async fn last_removal(&self, tag: &Tag) -> Result<Option<Digest>> {
        let (latest, _) = self.removals(Some(tag), MAX_READ).await?;
        Ok(latest.into_times().items.into_iter().next().map(|removal| removal.what.1))
    }

    async fn read_removal(&self, removal: Dated<(Tag, Digest)>) -> Result<RemovedTag> {
        let Dated { at, what: (tag, digest) } = removal;
        let name = self.repository.name.clone();
        let record =
            self.read_record(&Entry::RemovedTag(name, tag.clone(), millis(at), digest.clone())).await?;
        let by = record.map(|record| record.by.bounded()).unwrap_or_default();
        Ok(RemovedTag { tag, digest, at, by })
    }

    /// The content of a record. A power failure may have emptied the file, and the rest is in its name.
    async fn read_record(&self, entry: &Entry) -> Result<Option<Record>> {
        let path = entry.path();
        let is_record = self.driver().stat_if_any(&path).await?;
        let content = match is_record.is_some_and(|file| file.size_bytes <= MAX_RECORD_BYTES) {
            true => self.driver().get_content_if_any(&path).await?,
            false => None,
        };
        Ok(content.and_then(|content| serde_json::from_slice::<Record>(&content).ok()))
    }

    /// The last removal of the tag from the manifest, if one is recorded; the manifest may be named by the digest of its push.
    pub(crate) async fn last_removal_from(&self, tag: &Tag, digest: &Digest) -> Result<Option<Removal>> {
        let (latest, _) = self.removals(Some(tag), MAX_READ).await?;
        for Dated { at, what: (_, canonical) } in latest.into_times().items {
            if digest.is_canonical() && canonical != *digest {
                continue;
            }
            let (name, tag) = (self.repository.name.clone(), tag.clone());
            let record =
                self.read_record(&Entry::RemovedTag(name, tag, millis(at), canonical.clone())).await?;
            let pushed_as = record.as_ref().and_then(|record| record.pushed_as.as_ref()?.parse().ok());
            if canonical == *digest || pushed_as.as_ref() == Some(digest) {
                let descendants = record.iter().flat_map(|record| &record.descendants);
                let descendants = descendants.filter_map(|text| text.parse().ok()).collect();
                return Ok(Some(Removal { digest: canonical, pushed_as, descendants }));
            }
        }
        Ok(None)
    }

    /// What the repository has of the index that the tag points at; `None` if it points nowhere.
    pub(crate) async fn descendants(&self, tag: &Tag) -> Result<Option<Descendants>> {
        match self.resolve(tag).await {
            Ok(Some(digest)) => Descendants::read(&self.repository.manifests(), digest).await.map(Some),
            Ok(None) | Err(Error::Corrupt(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records that the tag is about to be removed, with the digest that it points at now. A tag that points nowhere leaves no
    /// record. `known` are the descendants of the manifest that the tag pointed at a moment ago.
    pub(crate) async fn record_removal(&self, tag: &Tag, known: Option<&Descendants>) -> Result<()> {
        let digest = match self.resolve(tag).await {
            Ok(Some(digest)) => digest,
            Ok(None) | Err(Error::Corrupt(..)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Repository { name, registry, remover, .. } = &self.repository;
        let removed_ms = millis(registry.clock().now());
        let pushed_as = self.pushed_digest(tag).await?.map(|pushed| pushed.to_string());
        let (tag_text, digest_text, by) = (tag.to_string(), digest.to_string(), remover.clone());
        let descendants = match known.filter(|known| known.of == digest) {
            Some(known) => texts(&known.digests),
            // The tag has moved since.
            None => texts(&Descendants::read(&self.repository.manifests(), digest.clone()).await?.digests),
        };
        let record = Record { tag: tag_text, digest: digest_text, removed_ms, pushed_as, by, descendants };
        let content = Bytes::from(serde_json::to_vec(&record).unwrap_or_default());
        let path = Entry::RemovedTag(name.clone(), tag.clone(), removed_ms, digest).path();
        match put_in_reserve(self.driver(), &path, content, PutMode::Create).await {
            // Another deletion of the tag has recorded the same.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            // The client requested the deletion, and the record is an extra.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                tracing::warn!(
                    repository = %name, %tag, %path, %error,
                    "the removal of tag {tag} of {name} cannot be recorded at {path}, so it cannot be restored; make that \
                     place writable"
                );
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

/// What removed the tag; unknown if that is of a later version.
fn known_or_default<'de, D: Deserializer<'de>>(by: D) -> std::result::Result<Remover, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(by)?).unwrap_or_default())
}

fn texts(digests: &BTreeSet<Digest>) -> Vec<String> {
    digests.iter().map(ToString::to_string).collect()
}

/// The latest of the first `most` removals, and whether there are more.
async fn latest_of(
    mut files: impl Stream<Item = sampan_driver::Result<FileInfo>> + Unpin,
    most: usize,
) -> Result<(Latest<(Tag, Digest)>, bool)> {
    let bytes = |(tag, digest): &(Tag, Digest)| tag.as_str().len() + digest.hex().len();
    let mut latest = Latest::new(MAX_LIST_BYTES, bytes);
    let mut read = 0;
    while let Some(file) = files.try_next().await? {
        if let Some(Entry::RemovedTag(_, tag, removed_ms, digest)) = Entry::parse(&file.path) {
            if read == most {
                return Ok((latest, true));
            }
            read += 1;
            latest.add(Dated { at: time_of(removed_ms), what: (tag, digest) });
        }
    }
    Ok((latest, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants::MAX_DESCENDANTS;
    use crate::oci::Algorithm;

    #[tokio::test]
    async fn a_listing_reads_no_more_records_than_its_limit_and_says_so() {
        let file = |ms: u64| {
            let digest = Digest::sha256_of(b"manifest");
            let entry = Entry::RemovedTag("a".parse().unwrap(), "v1".parse().unwrap(), ms, digest);
            Ok(FileInfo { path: entry.path(), size_bytes: 9, modified: SystemTime::UNIX_EPOCH })
        };
        for (count, read, is_cut) in [(0, 0, false), (2, 2, false), (3, 3, false), (4, 3, true), (9, 3, true)]
        {
            let endless = stream::iter((1..=count).map(file));
            let (latest, cut) = latest_of(endless, 3).await.unwrap();
            assert_eq!((latest.into_times().items.len(), cut), (read, is_cut), "{count} records");
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for by in [Remover::Unknown, Remover::User("alice".into())] {
            let record = Record {
                tag: "v1".into(),
                digest: "d".into(),
                removed_ms: 5,
                pushed_as: None,
                by: by.clone(),
                descendants: Vec::new(),
            };
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap().by, by, "{text}");
        }
        for unknown in ["", r#","by":{"rule":"builds"}"#, r#","by":7"#] {
            let text =
                format!(r#"{{"tag":"v1","digest":"d","removed_ms":5,"pushed_as":"x","new":1{unknown}}}"#);
            let record = serde_json::from_str::<Record>(&text).unwrap();
            assert_eq!((record.by, record.pushed_as.as_deref()), (Remover::Unknown, Some("x")), "{text}");
        }
    }

    #[test]
    fn the_largest_record_fits_and_no_letter_of_a_name_is_cut() {
        let by = Remover::User("é".repeat(1000) + "x").bounded();
        assert_eq!(by, Remover::User("é".repeat(128)));
        let by = Remover::User("\u{1}".repeat(1000)).bounded();
        let pushed_as = Some("x".repeat(150));
        let descendants = vec![Digest::of(Algorithm::Sha512, b"").to_string(); MAX_DESCENDANTS];
        let (tag, digest) = ("x".repeat(128), "x".repeat(150));
        let record = Record { tag, digest, removed_ms: u64::MAX, pushed_as, by, descendants };
        assert!((serde_json::to_vec(&record).unwrap().len() as u64) < MAX_RECORD_BYTES);
    }
}
