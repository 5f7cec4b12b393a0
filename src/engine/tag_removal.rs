//! Removing a tag only if it still points at what is deleted, although another process may move it at the same time.
//!
//! No store can delete a file on the condition that it still has its content. So deletion and push both *write first and look
//! second*, as collector and registry do (see [`promise`](crate::promise)):
//!
//! | deletion | push |
//! |---|---|
//! | 1. writes a notice, `_sampan/untag/<tag>/<uuid>` | 1. writes the tag |
//! | 2. reads the tag: has it moved, it stays | 2. lists the notices; waits until those that it sees are gone |
//! | 3. removes the tag | 3. reads the tag: is it gone, it begins again |
//! | 4. removes the notice | |
//!
//! Either the deletion sees the new tag, or the push sees the notice. A deletion that was killed leaves its notice behind. It
//! removes nothing later than [`REMOVAL_LIMIT`] after the notice, so a push that has seen a notice for [`PATIENCE`] deletes it.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{
    Deadline, DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver, StorageDriverExt,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::layout::{self, Entry};
use crate::oci::{Digest, Tag};
use crate::{Error, Result, TagStore};

/// How long after its notice a deletion may still begin to remove a tag.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

/// How long a push waits for a deletion. The difference to [`REMOVAL_LIMIT`] is what one request to the store may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let begun = Instant::now();
        let notice = Entry::TagRemoval(self.repository.name.clone(), tag.clone(), Uuid::new_v4()).path();
        self.driver().put_content(&notice, Bytes::new(), PutMode::Transient).await?;
        // When a removal fails it may still be under way, so its notice stays.
        let removed = self.remove_noticed(tag, begun, stale).await?;
        self.delete_notices(vec![notice]).await?;
        Ok(removed)
    }

    async fn remove_noticed(&self, tag: &Tag, begun: Instant, stale: Stale<'_>) -> Result<bool> {
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        // The history first: a crash in between leaves a tag without it, which can be removed again; not a name without a tag.
        self.driver().delete_tree(&layout::tag_history(&self.repository.name, tag)).await?;
        // Once more: CNCF Distribution, which neither writes notices nor reads them, may have moved the tag.
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        let path = layout::tag(&self.repository.name, tag);
        if begun.elapsed() > REMOVAL_LIMIT {
            let driver = self.driver().name();
            let late = DriverError::new(ErrorKind::Unavailable, driver, Operation::DeleteTree, &path);
            return Err(late.with_source("the store answered too slowly to delete this safely").into());
        }
        self.driver().delete_tree(&path).await?;
        Ok(true)
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

    /// Sees, after the tag was written, that no deletion took it away: one that may have read the tag before is waited for.
    pub(crate) async fn is_kept(&self, tag: &Tag) -> Result<bool> {
        self.outwait_removals(tag).await?;
        let current = Entry::TagCurrent(self.repository.name.clone(), tag.clone()).path();
        Ok(self.driver().exists(&current).await?)
    }

    async fn outwait_removals(&self, tag: &Tag) -> Result<()> {
        let mut seen = self.notices(tag).await?;
        let until = Instant::now() + PATIENCE;
        while !seen.is_empty() {
            if Instant::now() >= until {
                tracing::warn!(
                    repository = %self.repository.name, %tag,
                    "a deletion that was to remove tag {tag} of {} has not come to its end: it is taken for dead",
                    self.repository.name
                );
                return self.delete_notices(seen).await;
            }
            sleep(POLL_INTERVAL).await;
            // A later notice is of a deletion that sees the tag.
            let left = self.notices(tag).await?;
            seen.retain(|notice| left.contains(notice));
        }
        Ok(())
    }

    async fn notices(&self, tag: &Tag) -> Result<Vec<DriverPath>> {
        let directory = layout::tag_removals(&self.repository.name, tag);
        let entries = self.driver().list(&directory, None);
        Ok(entries
            .try_filter_map(|entry| std::future::ready(Ok(directory.join(entry.name()).ok())))
            .try_collect()
            .await?)
    }

    /// With the directory, where there are directories.
    async fn delete_notices(&self, notices: Vec<DriverPath>) -> Result<()> {
        let mut deleted = self.driver().delete_all(stream::iter(notices).boxed(), Deadline::NONE);
        while let Some((_, result)) = deleted.next().await {
            result?;
        }
        Ok(())
    }
}
