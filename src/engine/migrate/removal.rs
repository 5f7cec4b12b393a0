//! Removes from the target what the source no longer has: references first, data last.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, StorageDriver, StorageDriverExt};

use super::caution::TargetOnly;
use super::error::NameStore;
use super::merged::Merged;
use super::others;
use super::report::Amounts;
use super::repositories::{Repositories, RepositoryPair, TagInBoth};
use super::{Migration, Result, check_seen};
use crate::layout::{self, Entry};
use crate::oci::{Digest, Manifest};

/// How many files are deleted at a time.
const DELETE_BATCH: usize = 1000;

/// A larger manifest is not read to learn whether it is an index, or what it needs.
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Removes what only the target has, but for the data and links that are `kept`. Any place of the source that cannot be seen
/// ends the removal: what lies there is not gone.
pub(super) async fn remove(migration: &Migration, kept: &TargetOnly) -> Result<Amounts> {
    let Migration { source, target, options, .. } = migration;
    let mut removed = Amounts::default();
    let mut repositories = Repositories::new(source, target, options.selection.clone());
    while let Some(found) = repositories.next().await? {
        check_seen(repositories.take_findings().1)?;
        remove_from(target, found, kept, &mut removed).await?;
    }
    check_seen(repositories.take_findings().1)?;
    let keeps_tokens = !options.confirmed && tokens_vanished(source, target).await?;
    let roots = others::roots().into_iter();
    for root in roots.filter(|root| !keeps_tokens || *root != layout::access_tokens_root()) {
        let mut extra = Extra::new(migration, &root);
        let goes_along = |path: &DriverPath| others::goes_along(path, &options.selection);
        while let Some((paths, _)) = extra.next(goes_along).await? {
            removed.others += paths.len() as u64;
            delete(target, paths).await?;
        }
    }
    if options.selection.is_everything() {
        let mut extra = Extra::new(migration, &layout::blobs_root());
        let is_data =
            |path: &DriverPath| matches!(Entry::parse(path), Some(Entry::Blob(digest)) if !kept.has(&digest));
        while let Some((paths, bytes)) = extra.next(is_data).await? {
            removed.blobs += paths.len() as u64;
            removed.bytes += bytes;
            delete(target, paths).await?;
        }
    }
    Ok(removed)
}

/// Whether the target has access tokens, and the source none at all: what was not mounted, or lost, looks like that.
pub(crate) async fn tokens_vanished(
    source: &Arc<dyn StorageDriver>,
    target: &Arc<dyn StorageDriver>,
) -> Result<bool> {
    Ok(has_tokens(target).await.at_target()? && !has_tokens(source).await.at_source()?)
}

async fn has_tokens(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<bool> {
    let mut files = driver.walk(&layout::access_tokens_root(), None);
    while let Some(file) = files.try_next().await? {
        if Entry::parse(&file.path).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the access tokens that only the target has.
pub(crate) async fn remove_gone_tokens(
    source: &Arc<dyn StorageDriver>,
    target: &Arc<dyn StorageDriver>,
) -> Result<()> {
    let mut extra = Extra { merged: Merged::new(source, target, &layout::access_tokens_root()) };
    while let Some((paths, _)) = extra.next(|path| Entry::parse(path).is_some()).await? {
        delete(target, paths).await?;
    }
    Ok(())
}

async fn remove_from(
    target: &Arc<dyn StorageDriver>,
    found: RepositoryPair,
    kept: &TargetOnly,
    removed: &mut Amounts,
) -> Result<()> {
    let is_gone = !found.is_in_source();
    let RepositoryPair { name, mut extra, tags, digests, in_target, .. } = found;
    if let Some(lost) = kept.links(&name) {
        extra.layers.retain(|digest| !lost.layers.contains(digest));
        extra.revisions.retain(|digest| !lost.revisions.contains(digest));
    }
    // A history without its tag would still list the tag where there are no directories.
    let history = extra.history.into_iter();
    let history: Vec<_> =
        history.map(|(tag, digest)| Entry::TagIndex(name.clone(), tag, digest).path()).collect();
    removed.history += history.len() as u64;
    delete(target, history).await?;
    let obstructed = tags.iter().filter(|tag| tag.is_obstructed).map(|tag| tag.tag.clone());
    let obstructed: HashSet<_> = obstructed.collect();
    let gone = tags.into_iter().filter(|tag| tag.is_gone() && tag.target.is_some());
    let tags: Vec<DriverPath> = gone.map(|gone| Entry::TagCurrent(name.clone(), gone.tag).path()).collect();
    removed.tags += tags.len() as u64;
    delete(target, tags).await?;
    let is_gone_with_tag = |digest: &TagInBoth| digest.source.is_none() && !obstructed.contains(&digest.tag);
    let digests = digests.into_iter().filter(is_gone_with_tag);
    delete(target, digests.map(|digest| Entry::TagDigest(name.clone(), digest.tag).path()).collect()).await?;
    removed.revisions += extra.revisions.len() as u64;
    let (indexes, others) = indexes_first(target, extra.revisions).await?;
    for revisions in [indexes, others] {
        let links = revisions.into_iter().map(|digest| Entry::RevisionLink(name.clone(), digest).path());
        delete(target, links.collect()).await?;
    }
    // Such as that of a fetched manifest that a client has pushed since.
    let marks =
        extra.referrers.iter().filter(|entry| matches!(entry, Entry::Fetched(..) | Entry::Pushed(..)));
    delete(target, marks.map(Entry::path).collect()).await?;
    removed.layer_links += extra.layers.len() as u64;
    let links = extra.layers.into_iter().map(|digest| Entry::LayerLink(name.clone(), digest).path());
    delete(target, links.collect()).await?;
    // Entries of the index of referrers mean nothing without their manifests, and a collection deletes them. Those of a
    // repository that is gone would keep its name.
    if is_gone && in_target != [0; 3] {
        target.delete_tree(&layout::own(&name)).await.at_target()?;
        target.delete(&Entry::TagDates(name).path()).await.at_target()?;
    }
    Ok(())
}

/// Divides manifests into indexes, whose links go first, and others.
async fn indexes_first(
    target: &Arc<dyn StorageDriver>,
    revisions: Vec<Digest>,
) -> Result<(Vec<Digest>, Vec<Digest>)> {
    let (mut indexes, mut others) = (Vec::new(), Vec::new());
    for digest in revisions {
        let path = Entry::Blob(digest.clone()).path();
        let file = target.stat_if_any(&path).await.at_target()?;
        let content = match file.is_some_and(|file| file.size_bytes <= MAX_MANIFEST_BYTES) {
            true => target.get_content_if_any(&path).await.at_target()?,
            false => None,
        };
        let manifest = content.and_then(|content| Manifest::parse(&content, None).ok());
        match manifest.is_some_and(|manifest| manifest.kind.is_index()) {
            true => indexes.push(digest),
            false => others.push(digest),
        }
    }
    Ok((indexes, others))
}

/// The files below a root that only the target has, in portions.
struct Extra {
    merged: Merged,
}

impl Extra {
    fn new(migration: &Migration, root: &DriverPath) -> Self {
        Self { merged: Merged::new(&migration.source, &migration.target, root) }
    }

    /// The next files that `counts` selects, and their length in bytes.
    async fn next(&mut self, counts: impl Fn(&DriverPath) -> bool) -> Result<Option<(Vec<DriverPath>, u64)>> {
        let (mut paths, mut bytes) = (Vec::new(), 0);
        while paths.len() < DELETE_BATCH {
            let next = self.merged.next().await?;
            check_seen(self.merged.take_unseen())?;
            let Some(pair) = next else { break };
            if let (None, Some(target)) = (&pair.source, &pair.target)
                && counts(&pair.path)
            {
                bytes += target.size_bytes;
                paths.push(pair.path);
            }
        }
        Ok((!paths.is_empty()).then_some((paths, bytes)))
    }
}

/// Deletes files durably.
pub(super) async fn delete(target: &Arc<dyn StorageDriver>, paths: Vec<DriverPath>) -> Result<()> {
    for paths in paths.chunks(DELETE_BATCH) {
        let mut deleted = target.delete_all(stream::iter(paths.to_vec()).boxed(), Deadline::NONE);
        let mut result = Ok(());
        while let Some((_, one)) = deleted.next().await {
            result = result.and(one);
        }
        result.and(target.sync_deletions(paths).await).at_target()?;
    }
    Ok(())
}
