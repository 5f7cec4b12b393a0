//! Tags of one repository: they are read before everything else of it, and written after it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverPath, StorageDriverExt};

use super::digest_set::DigestSet;
use super::error::NameStore;
use super::report::{Amounts, Broken, TagThere};
use super::repositories::TagInBoth;
use super::repository::{ImagePart, RepositoryCopy, parse};
use super::{CONCURRENCY, Error, Result};
use crate::layout::Entry;
use crate::link;
use crate::oci::{Digest, Tag};

/// The digest that a tag of the source points at.
pub(super) struct Target {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    /// The target's tag points elsewhere.
    pub(super) has_moved: bool,
}

impl RepositoryCopy {
    /// Reads the links of all tags in both stores. Their length is always the same, so only their content tells whether a tag
    /// has moved; the time of a link proves nothing, since stores count in seconds.
    pub(super) async fn read_tags(self: &Arc<Self>, tags: &[TagInBoth]) -> Result<Vec<Target>> {
        for tag in tags.iter().filter(|tag| tag.is_obstructed) {
            let path = Entry::TagCurrent(self.name.clone(), tag.tag.clone()).path();
            self.copier.find(|pass| pass.unreadable.push(path));
        }
        let tags: Vec<(Tag, bool)> = tags
            .iter()
            .filter(|tag| tag.source.is_some())
            .map(|tag| (tag.tag.clone(), tag.target.is_some()))
            .collect();
        let read = |(tag, in_target)| {
            let copy = self.clone();
            async move { copy.read_tag(tag, in_target).await }
        };
        let read = stream::iter(tags).map(read).buffered(CONCURRENCY);
        read.try_filter_map(|target| std::future::ready(Ok(target))).try_collect().await
    }

    async fn read_tag(&self, tag: Tag, in_target: bool) -> Result<Option<Target>> {
        let path = Entry::TagCurrent(self.name.clone(), tag.clone()).path();
        let there = async {
            match in_target {
                true => self.copier.target.get_content_if_any(&path).await.at_target(),
                false => Ok(None),
            }
        };
        let here = async { self.copier.source.get_content_if_any(&path).await.at_source() };
        let (here, there) = futures::try_join!(here, there)?;
        let Some(here) = here else { return Ok(None) };
        let Some(digest) = parse(&here) else {
            self.copier.find(|pass| pass.unreadable.push(path));
            return Ok(None);
        };
        let has_moved = there.as_deref().and_then(parse).as_ref() != Some(&digest);
        Ok(Some(Target { tag, digest, has_moved }))
    }

    /// Writes tags and their history. Returns the tags that are there then, and those that a push has pointed elsewhere since
    /// the restore began.
    pub(super) async fn copy_tags(
        self: &Arc<Self>,
        targets: &[Target],
        revisions_here: &DigestSet,
        history: Vec<(Tag, Digest)>,
        digests: &[TagInBoth],
    ) -> Result<(HashSet<Tag>, HashSet<Tag>)> {
        let mut moved = Vec::new();
        let mut tags = HashSet::new();
        let is_backup = self.copier.manner.recorder().is_some();
        for target in targets {
            let part = match target.has_moved {
                true => self.revision(&target.digest).await?,
                false => ImagePart::There,
            };
            match part {
                ImagePart::There => {
                    if is_backup && !revisions_here.contains(&target.digest) {
                        self.keep_unlinked(target).await?;
                    }
                    tags.insert(target.tag.clone());
                    moved.extend(target.has_moved.then(|| (target.tag.clone(), target.digest.clone())));
                }
                ImagePart::Missing if !self.copier.is_lost(&target.digest) => {
                    if !is_backup || self.is_current(target).await? {
                        self.find_dangling(&target.tag);
                    }
                }
                part => {
                    let because = match part {
                        ImagePart::Broken(because) => because,
                        ImagePart::There | ImagePart::Missing => target.digest.clone(),
                    };
                    let (repository, manifest) = (self.name.clone(), target.digest.clone());
                    let tag = Some(target.tag.clone());
                    self.copier.find(|pass| pass.broken.push(Broken { repository, manifest, tag, because }));
                }
            }
        }
        let is_written: HashSet<(Tag, Digest)> = moved.iter().cloned().collect();
        let point = |(tag, digest): (Tag, Digest)| {
            let copy = self.clone();
            async move { Ok::<_, Error>((copy.point(&tag, &digest).await?, tag)) }
        };
        let mut pushed = HashSet::new();
        let mut pointed = stream::iter(moved).map(point).buffer_unordered(CONCURRENCY);
        while let Some((is_ours, tag)) = pointed.try_next().await? {
            if !is_ours {
                tags.remove(&tag);
                pushed.insert(tag);
            }
        }
        // As a push does: a history without its tag would list the tag where there are no directories, and it cannot be pulled.
        let history: Vec<(Tag, Digest)> =
            history.into_iter().filter(|one| tags.contains(&one.0) && !is_written.contains(one)).collect();
        let remember = |(tag, digest): (Tag, Digest)| {
            let copy = self.clone();
            async move { copy.copier.put_all(&[copy.history(&tag, &digest)], |copied| copied.history += 1).await }
        };
        let mut remembered = stream::iter(history).map(remember).buffer_unordered(CONCURRENCY);
        while remembered.try_next().await?.is_some() {}
        let digests =
            digests.iter().filter(|digest| digest.source.is_some() && !pushed.contains(&digest.tag));
        for digest in digests {
            self.copy_file(Entry::TagDigest(self.name.clone(), digest.tag.clone())).await?;
        }
        Ok((tags, pushed))
    }

    /// Keeps the manifest of a tag in a backup that has it, although the walk has seen no link to it at the source: it was pushed
    /// since, or the source has lost the link, which is found then.
    async fn keep_unlinked(&self, target: &Target) -> Result<()> {
        let is_there = self.revision(&target.digest).await? == ImagePart::There;
        let link = Entry::RevisionLink(self.name.clone(), target.digest.clone()).path();
        if !self.copier.source.exists(&link).await.at_source()? {
            if !self.is_current(target).await? {
                return Ok(());
            }
            self.find_dangling(&target.tag);
        }
        if is_there {
            self.remember(&target.digest, ImagePart::There);
        }
        Ok(())
    }

    /// Whether the tag of the source still points there: it may have been deleted with its manifest meanwhile.
    async fn is_current(&self, Target { tag, digest, .. }: &Target) -> Result<bool> {
        let path = Entry::TagCurrent(self.name.clone(), tag.clone()).path();
        let content = self.copier.source.get_content_if_any(&path).await.at_source()?;
        Ok(content.as_deref().and_then(parse).as_ref() == Some(digest))
    }

    /// Records a tag of the source that leads nowhere there.
    fn find_dangling(&self, tag: &Tag) {
        let path = Entry::TagCurrent(self.name.clone(), tag.clone()).path();
        let is_lost = self.copier.manner.recorder().is_some() && !self.copier.caches.contains(&self.name);
        self.copier.find(|pass| {
            pass.dangling.push(path);
            pass.lost_tags += u64::from(is_lost);
        });
    }

    /// Points a tag at a manifest that is there. Returns whether the tag points at it then: where pushes go first, a tag that
    /// points at another image now was pushed since the restore began, and stays.
    async fn point(&self, tag: &Tag, digest: &Digest) -> Result<bool> {
        let current = link::file(&Entry::TagCurrent(self.name.clone(), tag.clone()), digest);
        let history = self.history(tag, digest);
        let count = |copied: &mut Amounts| {
            copied.tags += 1;
            copied.history += 1;
        };
        if !self.copier.manner.spares_pushes() {
            self.copier.put_all(&[current, history], count).await?;
            return Ok(true);
        }
        loop {
            let there = self.copier.target.get_content_if_any(&current.0).await.at_target()?;
            let Some(there) = there else {
                // A push that comes first makes it fail.
                match self.copier.create(&current.0, &current.1).await? {
                    true => break,
                    false => continue,
                }
            };
            match parse(&there) {
                Some(there) if there == *digest => break,
                Some(there) if self.is_image(&there).await? => {
                    let (repository, tag) = (self.name.clone(), tag.clone());
                    self.copier.find(|pass| pass.pushed.push(TagThere { repository, tag, digest: there }));
                    return Ok(false);
                }
                // It leads nowhere, so no push has written it since.
                _ => {
                    self.copier.put_all(&[current], |_| {}).await?;
                    break;
                }
            }
        }
        self.copier.put_all(&[history], count).await?;
        Ok(true)
    }

    /// Whether the target has the manifest in this repository.
    async fn is_image(&self, digest: &Digest) -> Result<bool> {
        let link = Entry::RevisionLink(self.name.clone(), digest.clone()).path();
        let target = &self.copier.target;
        Ok(target.exists(&link).await.at_target()?
            && target.exists(&Entry::Blob(digest.clone()).path()).await.at_target()?)
    }

    fn history(&self, tag: &Tag, digest: &Digest) -> (DriverPath, Bytes) {
        link::file(&Entry::TagIndex(self.name.clone(), tag.clone(), digest.clone()), digest)
    }
}
