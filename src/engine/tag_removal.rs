//! Removing a tag only if it still points at the deleted manifest, although another process may move it at the same time.
//!
//! No store can delete a file on the condition that its content is unchanged. So deletion and push both *write first and read
//! second*, as collector and registry do (see [`lease`](crate::lease)):
//!
//! | deletion | push |
//! |---|---|
//! | 1. writes a notice, `_sampan/removals/tags/<tag>/<uuid>` | 1. writes the tag |
//! | 2. reads the tag; keeps it if it has moved | 2. lists the notices; waits until the listed ones are gone |
//! | 3. removes the tag | 3. reads the tag; starts over if it is gone |
//! | 4. removes the notice | |
//!
//! A deletion by digest does the same with a notice of the manifest, `_sampan/removals/manifests/<digest>/<uuid>`, and every
//! tag that points at it: otherwise a tag set while the deletion read the others would stay, and reappear with the next push
//! of the manifest.
//!
//! Either the deletion sees the new tag, or the push sees the notice. The deletion removes nothing later than
//! [`REMOVAL_LIMIT`] after it wrote its notice, however long the process pauses in between: the driver checks the deadline
//! just before.
//!
//! A killed deletion leaves its notice behind. On a filesystem it can remove nothing any more, so a push waits for
//! [`WAIT_LIMIT`] and deletes the notice. In an object store the killed process may have sent a request that the store carries
//! out up to [`AFTERLIFE`] later; until then a push of the tag fails, and the client retries. A killed deletion by digest may
//! remove the manifest at any later time: a client requested it, and never got an answer.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, FileInfo, PutMode, StorageDriver, StorageDriverExt};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::descendants::Descendants;
use crate::layout::{self, Entry};
use crate::lease::AFTERLIFE;
use crate::oci::{Digest, Tag};
use crate::space_reserve::put_in_reserve;
use crate::{Error, Result, TagStore, link};

/// How long after its notice a deletion may still begin to remove a tag.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

/// How long a push waits for a deletion. The difference to [`REMOVAL_LIMIT`] is the longest time for one request to the
/// store.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// How long after its notice a deletion can still take effect. One second covers stores with times in whole seconds.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(REMOVAL_LIMIT.as_secs() + AFTERLIFE.as_secs() + 1);

/// How often a waiting push lists the notices.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Which tags a deletion removes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stale<'a> {
    /// Any tag.
    Any,
    /// Tags that point at the manifest.
    PointsAt(&'a Digest),
    /// Tags that point at the manifest, if it has no link any more.
    PointsAtDeleted(&'a Digest),
    /// Tags of a cache that point at the manifest. They leave no record.
    Evicted(&'a Digest),
    /// Tags that point at no manifest of the repository.
    Dangling,
    /// The same, and tags whose manifest has a damaged link.
    Broken,
}

/// The descendants of the manifest of one or more tags, once they are read.
pub(crate) type KnownDescendants = OnceCell<Option<Descendants>>;

impl Stale<'_> {
    /// Whether a removal leaves a record.
    fn is_recorded(self) -> bool {
        !matches!(self, Self::Dangling | Self::Evicted(_))
    }
}

impl TagStore {
    /// Removes the tag if it is stale, and returns whether it was.
    pub(crate) async fn remove_if(&self, tag: &Tag, stale: Stale<'_>) -> Result<bool> {
        self.remove_one_if(tag, stale, &KnownDescendants::new()).await
    }

    /// The same for one of several tags of a manifest, whose descendants are read once.
    pub(crate) async fn remove_one_if(
        &self,
        tag: &Tag,
        stale: Stale<'_>,
        known: &KnownDescendants,
    ) -> Result<bool> {
        if stale.is_recorded() {
            // Before the notice, after which the removal must be short: an index may have hundreds.
            known.get_or_try_init(|| self.descendants(tag)).await?;
        }
        let (clock, begun) =
            (self.repository.registry.clock().clone(), self.repository.registry.clock().moment());
        let until = Deadline::new(move || REMOVAL_LIMIT.saturating_sub(clock.since(&begun)));
        let notice = Entry::TagRemoval(self.repository.name.clone(), tag.clone(), Uuid::new_v4()).path();
        put_in_reserve(self.driver(), &notice, Bytes::new(), PutMode::Transient).await?;
        let removed = self.remove_noticed(tag, &until, stale, known).await;
        // The store may still carry out a request that failed without a clear answer, so its notice stays.
        if removed.as_ref().err().is_none_or(is_settled) {
            self.delete_notices(vec![notice]).await?;
        }
        removed
    }

    async fn remove_noticed(
        &self,
        tag: &Tag,
        until: &Deadline,
        stale: Stale<'_>,
        known: &KnownDescendants,
    ) -> Result<bool> {
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        let (name, directory) = (&self.repository.name, layout::tag(&self.repository.name, tag));
        // Delete the history first: a crash in between leaves a tag without history, which a client can delete, not a name
        // without a tag.
        self.driver().delete_tree(&layout::tag_history(name, tag)).await?;
        // Check again: CNCF Distribution, which neither writes nor reads notices, may have moved the tag.
        if !self.is_stale(tag, stale).await? {
            return Ok(false);
        }
        if stale.is_recorded() {
            self.record_removal(tag, known.get().and_then(Option::as_ref)).await?;
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

    /// Deletes files of a tag before the deadline, and the directory of the tag if it is then empty.
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
            // No file has this name; a driver removes the directory with the last file of the batch.
            paths.extend(directory.join("link").ok());
        }
        link::delete_durably(self.driver(), paths, &files, until.clone()).await
    }

    /// Makes durable what earlier deletions removed: one that failed or was killed may not have synced it, and no retry finds
    /// the tag. Call it before the link of a manifest goes, which a tag must not outlive.
    pub(crate) async fn sync_removals(&self) -> Result<()> {
        if self.driver().capabilities().flat {
            return Ok(());
        }
        let (name, root) = (&self.repository.name, layout::tags(&self.repository.name));
        // The entries of directories that are gone.
        let mut removed: Vec<DriverPath> = root.join("link").ok().into_iter().collect();
        // Directories without a tag: what the first listing has and the second, in the same order, lacks.
        let mut directories = self.driver().list(&root, None);
        let mut tags = self.driver().list_holding(&root, None, layout::TAG_LINK);
        let mut next_tag = tags.try_next().await?;
        while let Some(directory) = directories.try_next().await? {
            while next_tag.as_ref().is_some_and(|tag| tag.name() < directory.name()) {
                next_tag = tags.try_next().await?;
            }
            if next_tag.as_ref().is_none_or(|tag| tag.name() != directory.name())
                && let Ok(tag) = directory.name().parse()
            {
                removed.push(Entry::TagCurrent(name.clone(), tag).path());
            }
        }
        Ok(self.driver().sync_deletions(&removed).await?)
    }

    /// Whether the tag is stale now.
    pub(crate) async fn is_stale(&self, tag: &Tag, stale: Stale<'_>) -> Result<bool> {
        if matches!(stale, Stale::Any) {
            return Ok(true);
        }
        let target = match self.resolve(tag).await {
            Ok(target) => target,
            // The tag points nowhere.
            Err(Error::Corrupt(..)) => None,
            Err(error) => return Err(error),
        };
        let manifests = self.repository.manifests();
        match (stale, target) {
            (Stale::PointsAt(digest) | Stale::Evicted(digest), target) => Ok(target.as_ref() == Some(digest)),
            (Stale::PointsAtDeleted(digest), Some(target)) if target == *digest => {
                Ok(!manifests.is_linked(digest).await?)
            }
            (Stale::PointsAtDeleted(_), _) => Ok(false),
            (Stale::Dangling, Some(target)) => Ok(!manifests.is_linked(&target).await?),
            (Stale::Broken, Some(target)) => match manifests.is_linked(&target).await {
                Err(Error::Corrupt(..)) => Ok(true),
                linked => Ok(!linked?),
            },
            (Stale::Any, _) | (Stale::Dangling | Stale::Broken, None) => Ok(true),
        }
    }

    /// Waits, after the tags were written, for the deletions that may have read them before, or are about to remove their
    /// manifest.
    pub(crate) async fn wait_for_removals(&self, tags: &[&Tag], canonical: &Digest) -> Result<()> {
        let mut seen = self.notices(tags, canonical).await?;
        let until = Instant::now() + WAIT_LIMIT;
        while !seen.is_empty() {
            seen = self.without_forgotten(seen).await?;
            if Instant::now() >= until {
                return self.stop_waiting(seen).await;
            }
            sleep(POLL_INTERVAL).await;
            // A later notice belongs to a deletion that sees the written tags.
            let left = self.notices(tags, canonical).await?;
            seen.retain(|notice| left.iter().any(|left| left.file.path == notice.file.path));
        }
        Ok(())
    }

    /// Whether the tag still exists.
    pub(crate) async fn is_there(&self, tag: &Tag) -> Result<bool> {
        let current = Entry::TagCurrent(self.repository.name.clone(), tag.clone()).path();
        Ok(self.driver().exists(&current).await?)
    }

    /// Writes the notice that a manifest is about to be removed with all its tags, and returns its path.
    ///
    /// A deletion that outlasts the wait of a push does no harm: until its request is answered, it may remove any tag of the
    /// manifest.
    pub(crate) async fn announce_removal(&self, canonical: &Digest) -> Result<DriverPath> {
        let name = self.repository.name.clone();
        let notice = Entry::ManifestRemoval(name, canonical.clone(), Uuid::new_v4()).path();
        put_in_reserve(self.driver(), &notice, Bytes::new(), PutMode::Transient).await?;
        Ok(notice)
    }

    /// Deletes the notices of tags whose deletions can no longer take effect, and returns the others. Ages are by the clock
    /// of the store, which has dated the tag since.
    async fn without_forgotten(&self, notices: Vec<RemovalNotice>) -> Result<Vec<RemovalNotice>> {
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

    /// Ends the wait for deletions that did not finish.
    async fn stop_waiting(&self, notices: Vec<RemovalNotice>) -> Result<()> {
        let (name, is_flat) = (&self.repository.name, self.driver().capabilities().flat);
        let in_doubt = notices.iter().find_map(|notice| notice.tag.as_ref().filter(|_| is_flat));
        if let Some(tag) = in_doubt {
            tracing::warn!(
                repository = %name, %tag,
                "the deletion of tag {tag} of {name} did not finish, and the store may still carry it out: push the tag again in 15 minutes"
            );
            return Err(Error::TagBeingRemoved(name.clone(), tag.clone()));
        }
        for notice in &notices {
            tracing::warn!(
                repository = %name, path = %notice.file.path,
                "a deletion in {name} did not finish: its process counts as dead"
            );
        }
        self.delete_notices(notices.into_iter().map(|notice| notice.file.path).collect()).await
    }

    /// The notices of deletions that concern a push of these tags of this manifest.
    async fn notices(&self, tags: &[&Tag], canonical: &Digest) -> Result<Vec<RemovalNotice>> {
        let files = self.driver().walk(&layout::removals(&self.repository.name), None);
        let notices = files.try_filter_map(|file| {
            let tag = match Entry::parse(&file.path) {
                Some(Entry::TagRemoval(_, tag, _)) if tags.contains(&&tag) => Some(Some(tag)),
                Some(Entry::ManifestRemoval(_, digest, _)) if digest == *canonical => Some(None),
                _ => None,
            };
            std::future::ready(Ok(tag.map(|tag| RemovalNotice { file, tag })))
        });
        Ok(notices.try_collect().await?)
    }

    /// Deletes the notices, and their directory in stores that have directories.
    pub(crate) async fn delete_notices(&self, notices: Vec<DriverPath>) -> Result<()> {
        let mut deleted = self.driver().delete_all(stream::iter(notices).boxed(), Deadline::NONE);
        while let Some((_, result)) = deleted.next().await {
            result?;
        }
        Ok(())
    }
}

/// A notice that something is about to be removed.
#[derive(Debug)]
struct RemovalNotice {
    file: FileInfo,
    /// The tag; `None` for the notice of a manifest.
    tag: Option<Tag>,
}

/// Whether the store cannot carry out the failed request any more.
fn is_settled(error: &Error) -> bool {
    matches!(error, Error::Driver(error) if error.is_settled())
}
