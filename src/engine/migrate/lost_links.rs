//! `LostLinks`: links that only the target has, and that images need which both stores have: the source has lost them.
//!
//! A client deletes an image by its tag or its manifest, and a collection deletes the links that no manifest needs any more. So
//! a link is lost, and not deleted, if a tag of the source, or a manifest that stays at the target, names what it leads to.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{StorageDriver, StorageDriverExt};

use super::digest_set::DigestSet;
use super::error::NameStore;
use super::manifests::needs;
use super::removal::MAX_MANIFEST_BYTES;
use super::repositories::RepositoryPair;
use super::repository::parse;
use super::{CONCURRENCY, Migration, Result};
use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName, Tag};

/// The links of one repository that the source has lost.
#[derive(Debug, Default)]
pub(super) struct LostLinks {
    pub(super) layers: DigestSet,
    pub(super) revisions: DigestSet,
}

impl LostLinks {
    /// Finds them. It reads all manifests of the repository at the target if that has any link that the source lacks.
    ///
    /// # Errors
    ///
    /// Any error of the stores.
    pub(super) async fn of(migration: &Migration, found: &RepositoryPair) -> Result<Self> {
        let (layers, revisions) = (set(&found.extra.layers), set(&found.extra.revisions));
        let mut lost = Self::default();
        if !found.is_in_source() || (layers.is_empty() && revisions.is_empty()) {
            return Ok(lost);
        }
        let (target, name) = (&migration.target, &found.name);
        let stays = |digest: &Digest| found.revisions_here.contains(digest);
        let mut manifests: Vec<Digest> = found.revisions_there.iter().filter(stays).collect();
        let mut named = if revisions.is_empty() { Vec::new() } else { tagged(migration, found).await? };
        loop {
            for digest in named.drain(..) {
                if revisions.contains(&digest) && lost.revisions.insert(&digest) {
                    manifests.push(digest);
                }
            }
            if manifests.is_empty() {
                break;
            }
            let read = stream::iter(std::mem::take(&mut manifests)).map(|digest| parts(target, name, digest));
            let mut read = read.buffer_unordered(CONCURRENCY);
            while let Some(parts) = read.try_next().await? {
                parts.iter().filter(|part| layers.contains(part)).for_each(|part| {
                    lost.layers.insert(part);
                });
                named.extend(parts.into_iter().filter(|part| revisions.contains(part)));
            }
        }
        // The link of another algorithm leads to the canonical one.
        let aliases: Vec<Digest> = lost.layers.iter().filter(|digest| !digest.is_canonical()).collect();
        for alias in aliases {
            let canonical = linked(target, Entry::LayerLink(name.clone(), alias)).await?;
            canonical.iter().filter(|digest| layers.contains(digest)).for_each(|digest| {
                lost.layers.insert(digest);
            });
        }
        Ok(lost)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.revisions.is_empty()
    }
}

fn set(digests: &[Digest]) -> DigestSet {
    let mut set = DigestSet::default();
    digests.iter().for_each(|digest| _ = set.insert(digest));
    set
}

/// The manifests that tags of the source point at.
async fn tagged(migration: &Migration, found: &RepositoryPair) -> Result<Vec<Digest>> {
    let tags = found.tags.iter().filter(|tag| tag.source.is_some()).map(|tag| tag.tag.clone());
    let read = |tag: Tag| {
        let path = Entry::TagCurrent(found.name.clone(), tag).path();
        async move { migration.source.get_content_if_any(&path).await.at_source() }
    };
    let contents = stream::iter(tags.collect::<Vec<_>>()).map(read).buffer_unordered(CONCURRENCY);
    let digests = contents.try_filter_map(|content| async move { Ok(content.as_deref().and_then(parse)) });
    digests.try_collect().await
}

/// The references of a manifest of the target: its parts, or for a link of another algorithm the canonical digest.
async fn parts(
    target: &Arc<dyn StorageDriver>,
    name: &RepositoryName,
    manifest: Digest,
) -> Result<Vec<Digest>> {
    if !manifest.is_canonical() {
        return Ok(linked(target, Entry::RevisionLink(name.clone(), manifest)).await?.into_iter().collect());
    }
    let path = Entry::Blob(manifest).path();
    let file = target.stat_if_any(&path).await.at_target()?;
    let content = match file.is_some_and(|file| file.size_bytes <= MAX_MANIFEST_BYTES) {
        true => target.get_content_if_any(&path).await.at_target()?,
        false => None,
    };
    Ok(content.into_iter().flat_map(|content| needs(&content).collect::<Vec<_>>()).collect())
}

/// The digest in a link of the target.
async fn linked(target: &Arc<dyn StorageDriver>, link: Entry) -> Result<Option<Digest>> {
    let content = target.get_content_if_any(&link.path()).await.at_target()?;
    Ok(content.as_deref().and_then(parse))
}
