//! The tags and links of a repository: whether each points at the right content.

use std::future::ready;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DirEntry, ErrorKind, StorageDriverExt};

use super::Result;
use super::data::with_cause;
use super::outage::{Answer, ask};
use super::problem::{Problem, ProblemKind};
use super::repository::Check;
use super::sizes::{Hash, digest};
use crate::layout::{self, Entry};
use crate::link::{self, digest_in};
use crate::oci::{Algorithm, Digest, Tag};

/// How many small files are read at a time.
const CONCURRENT_SMALL_READS: usize = 16;

impl Check<'_> {
    /// Reads small files; a file that is gone is left out.
    async fn read_small(&mut self, entries: Vec<Entry>) -> Result<Vec<(Entry, Bytes)>> {
        let driver = self.driver().clone();
        let mut reads = stream::iter(entries)
            .map(|entry| {
                let driver = driver.clone();
                async move {
                    let content = driver.get_content_if_any(&entry.path()).await;
                    (entry, content)
                }
            })
            .buffered(CONCURRENT_SMALL_READS);
        let mut read = Vec::new();
        while let Some((entry, content)) = reads.next().await {
            let content = match content {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let (driver, path) = (self.driver(), entry.path());
                    let again = || async { Ok(driver.get_content_if_any(&path).await?) };
                    match ask(driver, self.checker.pace, again).await? {
                        Answer::Given(content) => Ok(content),
                        Answer::Refused(error) => Err(error),
                    }
                }
                content => content,
            };
            match content {
                Ok(Some(content)) => read.push((entry, content)),
                Ok(None) => {}
                Err(error) => {
                    let kind = ProblemKind::Unreadable { error: with_cause(&error) };
                    self.add(Problem::new(&entry.path(), kind, None), None);
                }
            }
            if !self.checker.pace.goes_on().await {
                break;
            }
        }
        Ok(read)
    }

    /// Compares links of canonical digests with their paths.
    pub(super) async fn read_links(&mut self) -> Result<()> {
        let name = &self.listing.name;
        let mut links: Vec<Entry> = match self.checker.reads_links {
            true => {
                let layers = self.listing.layers.iter();
                let layers = layers.map(|hash| Entry::LayerLink(name.clone(), digest(hash)));
                let revisions = self.listing.revisions.iter();
                layers.chain(revisions.map(|hash| Entry::RevisionLink(name.clone(), digest(hash)))).collect()
            }
            false => self.listing.odd.iter().cloned().collect(),
        };
        links.sort_by_cached_key(Entry::path);
        for (entry, content) in self.read_small(links).await? {
            let (Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest)) = &entry else { continue };
            if digest_in(&content).as_ref() == Some(digest) {
                continue;
            }
            // A power failure empties a link that was never synced. It means "not here".
            if content.is_empty() && matches!(entry, Entry::LayerLink(..)) {
                if let Some(hash) = digest.canonical_hash() {
                    self.listing.layers.remove(&hash);
                }
                continue;
            }
            let (path, digest) = (entry.path(), digest.clone());
            self.add(
                Problem::new(&path, ProblemKind::LinkDamaged { content: shown(&content) }, Some(digest)),
                None,
            );
        }
        Ok(())
    }

    pub(super) async fn read_aliases(&mut self) -> Result<()> {
        let aliases = std::mem::take(&mut self.listing.aliases);
        for (entry, content) in self.read_small(aliases).await? {
            let (Entry::LayerLink(_, alias) | Entry::RevisionLink(_, alias)) = &entry else { continue };
            let target = digest_in(&content).and_then(|target| target.canonical_hash());
            match (&entry, target) {
                (Entry::LayerLink(..), Some(target)) => {
                    self.blob_aliases.insert(alias.clone(), target);
                }
                (_, Some(target)) => self.manifest_aliases.entry(target).or_default().push(entry),
                (_, None) if content.is_empty() => {}
                (_, None) => {
                    let kind = ProblemKind::LinkDamaged { content: shown(&content) };
                    self.add(Problem::new(&entry.path(), kind, None), None);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn read_tags(&mut self) -> Result<()> {
        let name = self.listing.name.clone();
        let tags = self.listing.tags.iter().map(|tag| Entry::TagCurrent(name.clone(), tag.clone())).collect();
        for (entry, content) in self.read_small(tags).await? {
            let Entry::TagCurrent(_, tag) = &entry else { continue };
            let Some(target) = digest_in(&content).and_then(|target| target.canonical_hash()) else {
                // A power failure empties a tag that was never synced. One with a history was there: the registry
                // writes the history after the tag. Distribution writes it before, so there it may be of a push that broke off.
                if !content.is_empty() || self.has_history(&entry, tag).await? {
                    let kind = ProblemKind::TagDamaged { content: shown(&content) };
                    self.add(Problem::new(&entry.path(), kind, None), None);
                }
                continue;
            };
            if !self.listing.revisions.contains(&target)
                && self.is_dangling(&entry, &content, &target).await?
            {
                let kind = ProblemKind::TagDangling { target: digest(&target) };
                self.add(Problem::new(&entry.path(), kind, Some(digest(&target))), None);
            }
            self.pointing.entry(target).or_default().push(tag.clone());
        }
        Ok(())
    }

    /// Finds tags and manifests in the place of whose link there is a directory, which a walk does not show.
    pub(super) async fn find_obstructed(&mut self) -> Result<()> {
        let name = self.listing.name.clone();
        let tags = std::mem::take(&mut self.listing.without_link);
        let mut links: Vec<Entry> =
            tags.into_iter().map(|tag| Entry::TagCurrent(name.clone(), tag)).collect();
        if !self.driver().capabilities().flat {
            links.extend(
                self.listed_manifests().await?.into_iter().map(|it| Entry::RevisionLink(name.clone(), it)),
            );
        }
        for entry in links {
            let (driver, link) = (self.driver(), entry.path());
            let look = || async { Ok(link::is_obstructed(driver, &link).await?) };
            let error = match ask(driver, self.checker.pace, look).await? {
                Answer::Given(false) => continue,
                Answer::Given(true) => link::OBSTRUCTED.to_owned(),
                Answer::Refused(error) => with_cause(&error),
            };
            self.add(Problem::new(&link, ProblemKind::Unreadable { error }, None), None);
            if !self.checker.pace.goes_on().await {
                break;
            }
        }
        Ok(())
    }

    /// The manifests that have a directory, and whose links the walk has not shown. A directory that cannot be listed was found
    /// by the walk.
    async fn listed_manifests(&self) -> Result<Vec<Digest>> {
        let directory = layout::revisions(&self.listing.name, Algorithm::Sha256);
        let list = || async {
            let entries = self.driver().list(&directory, None);
            let hash = |entry: DirEntry| Digest::canonical_hash_of(entry.name());
            let hashes = entries.try_filter_map(|entry| ready(Ok(hash(entry))));
            let without = hashes.try_filter(|hash| ready(!self.listing.revisions.contains(hash)));
            Ok(without.map_ok(|hash| digest(&hash)).try_collect().await?)
        };
        Ok(match ask(self.driver(), self.checker.pace, list).await? {
            Answer::Given(listed) => listed,
            Answer::Refused(_) => Vec::new(),
        })
    }

    /// Whether an empty tag has pointed at a manifest, and is still empty. A history that cannot be seen is one.
    async fn has_history(&self, entry: &Entry, tag: &Tag) -> Result<bool> {
        let look = || async {
            let mut files = self.driver().walk(&layout::tag(&self.listing.name, tag), None);
            while let Some(file) = files.try_next().await? {
                if file.size_bytes > 0 && matches!(Entry::parse(&file.path), Some(Entry::TagIndex(..))) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let has_history = match ask(self.driver(), self.checker.pace, look).await? {
            Answer::Given(has_history) => has_history,
            Answer::Refused(_) => true,
        };
        Ok(has_history && self.says_still(entry, &Bytes::new()).await?)
    }

    /// Whether the tag still points there, and the manifest is still not linked.
    async fn is_dangling(&self, entry: &Entry, content: &Bytes, target: &Hash) -> Result<bool> {
        if self.is_revision(target).await? {
            return Ok(false);
        }
        self.says_still(entry, content).await
    }

    /// Whether a file has the same content as a moment ago, as far as the store gives it.
    async fn says_still(&self, entry: &Entry, content: &Bytes) -> Result<bool> {
        let (driver, path) = (self.driver(), entry.path());
        let again = || async { Ok(driver.get_content_if_any(&path).await?) };
        Ok(match ask(driver, self.checker.pace, again).await? {
            Answer::Given(now) => now.as_ref() == Some(content),
            Answer::Refused(_) => true,
        })
    }
}

/// The beginning of a file for a person.
fn shown(content: &[u8]) -> String {
    String::from_utf8_lossy(content).chars().take(100).collect()
}
