//! Removing a tag only if it still points at what is deleted, although another process may move it at the same time.
//!
//! No store can delete a file on the condition that it still has its content. So deletion and push both *write first and look
//! second*, as collector and registry do (see [`promise`](crate::lease)):
//!
//! | deletion | push |
//! |---|---|
//! | 1. writes a notice, `_sampan/removals/tags/<tag>/<uuid>` | 1. writes the tag |
//! | 2. reads the tag: has it moved, it stays | 2. lists the notices; waits until those that it sees are gone |
//! | 3. removes the tag | 3. reads the tag: is it gone, it begins again |
//! | 4. removes the notice | |
//!
//! A deletion by digest does the same with a notice of the manifest, `_sampan/removals/manifests/<digest>/<uuid>`, and every tag
//! that points at it: else a tag that was set while it looked through the others would be left, and be there again with the next
//! push of the manifest.
//!
//! Either the deletion sees the new tag, or the push sees the notice. The deletion removes nothing later than [`REMOVAL_LIMIT`]
//! after it has written its notice, however long the process stops in between: the driver asks right before.
//!
//! A deletion that was killed leaves its notice behind. On a file system it can remove nothing any more, so a push waits for
//! [`PATIENCE`] and deletes the notice. In an object store the killed process may have sent a request that is carried out up to
//! [`AFTERLIFE`] later; until then a push of the tag is refused, and the client tries again. A deletion by digest that was killed
//! may remove the manifest at any later time: it was asked for, and never answered.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, FileInfo, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::layout::{self, Entry};
use crate::lease::AFTERLIFE;
use crate::oci::{Digest, Tag};
use crate::{Error, Result, TagStore, link};

/// How long after its notice a deletion may still begin to remove a tag.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

/// How long a push waits for a deletion. The difference to [`REMOVAL_LIMIT`] is what one request to the store may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long after its notice nothing comes of a deletion any more. A second is for stores that date in seconds.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(REMOVAL_LIMIT.as_secs() + AFTERLIFE.as_secs() + 1);

/// How often a push that waits lists the notices.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Which tags a deletion removes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stale<'a> {
    /// Whatever it points at.
    Any,
    /// Those that point at the manifest.
    PointsAt(&'a Digest),
    /// Those that point at the manifest, if that has no link any more.
    PointsAtDeleted(&'a Digest),
    /// Those that point at no manifest of the repository.
    Dangling,
}

impl TagStore {
    /// Removes the tag if it is stale, and tells whether it was.
    pub(crate) async fn remove_if(&self, tag: &Tag, stale: Stale<'_>) -> Result<bool> {
        let (clock, begun) =
            (self.repository.registry.clock().clone(), self.repository.registry.clock().moment());
        let until = Deadline::new(move || REMOVAL_LIMIT.saturating_sub(clock.since(&begun)));
        let notice = Entry::TagRemoval(self.repository.name.clone(), tag.clone(), Uuid::new_v4()).path();
        self.driver().put_content(&notice, Bytes::new(), PutMode::Transient).await?;
        let removed = self.remove_noticed(tag, &until, stale).await;
        // What failed without a clear answer may still be carried out, so its notice stays.
        if removed.as_ref().err().is_none_or(is_settled) {
            self.delete_notices(vec![notice]).await?;
        }
        removed
    }

    async fn remove_noticed(&self, tag: &Tag, until: &Deadline, stale: Stale<'_>) -> Result<bool> {
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        let (name, directory) = (&self.repository.name, layout::tag(&self.repository.name, tag));
        // The history first: a crash in between leaves a tag without it, which can be removed again; not a name without a tag.
        self.driver().delete_tree(&layout::tag_history(name, tag)).await?;
        // Once more: CNCF Distribution, which neither writes notices nor reads them, may have moved the tag.
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        if self.pushed_digest(tag).await?.is_some() {
            link::remove(self.driver(), &Entry::TagDigest(name.clone(), tag.clone())).await?;
        }
        let current = Entry::TagCurrent(name.clone(), tag.clone()).path();
        self.delete_before(until, vec![current.clone()], &directory).await?;
        let files: Vec<FileInfo> = self.driver().walk(&directory, None).try_collect().await?;
        let strays = files.into_iter().map(|file| file.path).filter(|path| *path != current).collect();
        self.delete_before(until, strays, &directory).await?;
        Ok(true)
    }

    /// Deletes files of a tag unless it is too late for that, and its directory if nothing is left in it.
    async fn delete_before(
        &self,
        until: &Deadline,
        files: Vec<DriverPath>,
        directory: &DriverPath,
    ) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut paths = files.clone();
        if !self.driver().capabilities().flat {
            // No file has this name; a directory goes with the last of the files that are deleted together.
            paths.extend(directory.join("link").ok());
        }
        let mut deleted = self.driver().delete_all(stream::iter(paths).boxed(), until.clone());
        while let Some((_, result)) = deleted.next().await {
            result?;
        }
        Ok(self.driver().sync_deletions(&files).await?)
    }

    /// Whether the tag is stale now.
    pub(crate) async fn is_stale(&self, tag: &Tag, stale: Stale<'_>) -> Result<bool> {
        if matches!(stale, Stale::Any) {
            return Ok(true);
        }
        let target = match self.resolve(tag).await {
            Ok(target) => target,
            // It points nowhere.
            Err(Error::Corrupt(..)) => None,
            Err(error) => return Err(error),
        };
        let manifests = self.repository.manifests();
        match (stale, target) {
            (Stale::PointsAt(digest), target) => Ok(target.as_ref() == Some(digest)),
            (Stale::PointsAtDeleted(digest), Some(target)) if target == *digest => {
                Ok(!manifests.is_linked(digest).await?)
            }
            (Stale::PointsAtDeleted(_), _) => Ok(false),
            (Stale::Dangling, Some(target)) => Ok(!manifests.is_linked(&target).await?),
            (Stale::Any, _) | (Stale::Dangling, None) => Ok(true),
        }
    }

    /// Waits, after the tags were written, until the deletions are over that may have read them before, or are about to remove
    /// the manifest that they point at.
    pub(crate) async fn outwait_removals(&self, tags: &[&Tag], canonical: &Digest) -> Result<()> {
        let mut seen = self.notices(tags, canonical).await?;
        let until = Instant::now() + PATIENCE;
        while !seen.is_empty() {
            seen = self.without_forgotten(seen).await?;
            if Instant::now() >= until {
                return self.give_up_on(seen).await;
            }
            sleep(POLL_INTERVAL).await;
            // A later notice is of a deletion that sees what was written.
            let left = self.notices(tags, canonical).await?;
            seen.retain(|notice| left.iter().any(|left| left.file.path == notice.file.path));
        }
        Ok(())
    }

    /// Whether the tag is still there.
    pub(crate) async fn is_there(&self, tag: &Tag) -> Result<bool> {
        let current = Entry::TagCurrent(self.repository.name.clone(), tag.clone()).path();
        Ok(self.driver().exists(&current).await?)
    }

    /// Announces that a manifest is about to be removed with all its tags, and gives the notice.
    ///
    /// A deletion that takes longer than pushes wait is no danger to them: until it is answered, it may remove whatever they set.
    pub(crate) async fn announce_removal(&self, canonical: &Digest) -> Result<DriverPath> {
        let name = self.repository.name.clone();
        let notice = Entry::ManifestRemoval(name, canonical.clone(), Uuid::new_v4()).path();
        self.driver().put_content(&notice, Bytes::new(), PutMode::Transient).await?;
        Ok(notice)
    }

    /// Deletes those notices of tags that are so old that nothing comes of their deletions any more, by the clock of the store:
    /// it has dated the tag since.
    async fn without_forgotten(&self, notices: Vec<Notice>) -> Result<Vec<Notice>> {
        let (mut forgotten, mut rest) = (Vec::new(), Vec::new());
        for notice in notices {
            let age = match &notice.tag {
                Some(tag) => {
                    let current = Entry::TagCurrent(self.repository.name.clone(), tag.clone()).path();
                    let current = self.driver().stat_if_any(&current).await?;
                    current.and_then(|current| current.modified.duration_since(notice.file.modified).ok())
                }
                None => None,
            };
            match age.is_some_and(|age| age > FORGOTTEN) {
                true => forgotten.push(notice.file.path),
                false => rest.push(notice),
            }
        }
        self.delete_notices(forgotten).await?;
        Ok(rest)
    }

    /// Ends the wait for deletions that have not come to their end.
    async fn give_up_on(&self, notices: Vec<Notice>) -> Result<()> {
        let (name, is_flat) = (&self.repository.name, self.driver().capabilities().flat);
        let in_doubt = notices.iter().find_map(|notice| notice.tag.as_ref().filter(|_| is_flat));
        if let Some(tag) = in_doubt {
            tracing::warn!(
                repository = %name, %tag,
                "a deletion that was to remove tag {tag} of {name} has not come to its end, and the store may still carry it out"
            );
            return Err(Error::TagBeingRemoved(name.clone(), tag.clone()));
        }
        for notice in &notices {
            tracing::warn!(
                repository = %name, path = %notice.file.path,
                "a deletion in {name} has not come to its end: its process is taken for dead"
            );
        }
        self.delete_notices(notices.into_iter().map(|notice| notice.file.path).collect()).await
    }

    /// The notices of deletions that concern a push of these tags of this manifest.
    async fn notices(&self, tags: &[&Tag], canonical: &Digest) -> Result<Vec<Notice>> {
        let files = self.driver().walk(&layout::removals(&self.repository.name), None);
        let notices = files.try_filter_map(|file| {
            let tag = match Entry::parse(&file.path) {
                Some(Entry::TagRemoval(_, tag, _)) if tags.contains(&&tag) => Some(Some(tag)),
                Some(Entry::ManifestRemoval(_, digest, _)) if digest == *canonical => Some(None),
                _ => None,
            };
            std::future::ready(Ok(tag.map(|tag| Notice { file, tag })))
        });
        Ok(notices.try_collect().await?)
    }

    /// With the directory, where there are directories.
    pub(crate) async fn delete_notices(&self, notices: Vec<DriverPath>) -> Result<()> {
        let mut deleted = self.driver().delete_all(stream::iter(notices).boxed(), Deadline::NONE);
        while let Some((_, result)) = deleted.next().await {
            result?;
        }
        Ok(())
    }
}

/// That something is about to be removed.
#[derive(Debug)]
struct Notice {
    file: FileInfo,
    /// The tag; `None` when it is a manifest.
    tag: Option<Tag>,
}

/// Whether nothing of what failed can still happen.
fn is_settled(error: &Error) -> bool {
    matches!(error, Error::Driver(error) if error.is_settled())
}
