//! `examine`: what a finish keeps at the target although the source lacks it, and when it removes nothing at all.
//!
//! A blob that was moved aside, and a disk that is not mounted, look like content that was deleted. So
//!
//! - data that a link or a manifest names that stays at the target are never removed there: the source has lost them;
//! - the same holds for links that an image needs which stays (module `lost_links`);
//! - where the target has repositories, and the source has none with the same first component of the name, nothing is
//!   removed without confirmation;
//! - the same holds where the source has lost most of the data that the links of both stores name.

use std::collections::{BTreeMap, HashMap};

use futures::{TryStreamExt, stream};
use sampan_driver::StorageDriverExt;

use super::digest_set::DigestSet;
use super::error::NameStore;
use super::lost_links::LostLinks;
use super::merged::Merged;
use super::removal::MAX_MANIFEST_BYTES;
use super::repositories::{Repositories, RepositoryPair};
use super::{CONCURRENCY, Error, Migration, Result, check_seen};
use crate::layout::{self, Entry};
use crate::oci::{Digest, Manifest, RepositoryName};

/// Data and links that only the target has and that a migration must keep.
#[derive(Debug, Default)]
pub(super) struct TargetOnly {
    /// Content that links or manifests of both stores name.
    pub(super) lost: DigestSet,
    /// Content that only repositories outside this migration name.
    foreign: DigestSet,
    /// The links of each repository that images need which both stores have.
    links: HashMap<RepositoryName, LostLinks>,
}

/// As many blobs are not lost one by one.
const MANY_BLOBS: u64 = 10;

/// The content of links that stay in the target.
#[derive(Default)]
struct Named {
    data: DigestSet,
    revisions: DigestSet,
}

/// The repositories of both stores, by the first component of their names: whether the source has any, and how many the target
/// has.
type Names = BTreeMap<String, (bool, u64)>;

/// Looks at both stores, and finds what has to stay at the target.
///
/// # Errors
///
/// So much of the source is gone that it may not be mounted, unless that is confirmed; a place of the source cannot be seen;
/// any error of the stores.
pub(super) async fn examine(migration: &Migration) -> Result<TargetOnly> {
    let Migration { source, target, options, .. } = migration;
    let is_everything = options.selection.is_everything();
    let walked = if is_everything { crate::Selection::default() } else { options.selection.clone() };
    let mut kept = TargetOnly::default();
    let (mut copied, mut others, mut names) = (Named::default(), Named::default(), Names::new());
    let mut repositories = Repositories::new(source, target, walked);
    while let Some(found) = repositories.next().await? {
        check_seen(repositories.take_findings().1)?;
        if options.selection.has(&found.name) {
            note(&mut names, &found);
            let lost = LostLinks::of(migration, &found).await?;
            copied.add_common(&found, &lost);
            if !lost.is_empty() {
                kept.links.insert(found.name, lost);
            }
        } else {
            others.add_all(&found);
        }
    }
    check_seen(repositories.take_findings().1)?;
    if !options.confirmed {
        check_names(names)?;
    }
    // Else no data are removed.
    if !is_everything {
        return Ok(kept);
    }
    let (mut there, mut lost) = (0, 0);
    let mut unnamed = Vec::new();
    let mut merged = Merged::new(source, target, &layout::blobs_root());
    while let Some(pair) = merged.next().await? {
        check_seen(merged.take_unseen())?;
        let Some(Entry::Blob(digest)) = Entry::parse(&pair.path) else { continue };
        let is_named = copied.data.contains(&digest);
        match (pair.source.is_some(), pair.target.is_some()) {
            (true, _) => there += u64::from(is_named),
            (false, true) if is_named => {
                lost += 1;
                kept.lost.insert(&digest);
            }
            (false, true) if others.data.contains(&digest) => _ = kept.foreign.insert(&digest),
            (false, true) => unnamed.push(digest),
            (false, false) => {}
        }
    }
    check_seen(merged.take_unseen())?;
    let is_sane = lost <= there || (there > 0 && lost < MANY_BLOBS);
    if !is_sane && !options.confirmed {
        return Err(Error::ContentVanished { lost, of: lost + there });
    }
    if !unnamed.is_empty() {
        let mut candidates = DigestSet::default();
        unnamed.iter().for_each(|digest| _ = candidates.insert(digest));
        parts_of(migration, &copied, &candidates, &mut kept.lost).await?;
        parts_of(migration, &others, &candidates, &mut kept.foreign).await?;
    }
    Ok(kept)
}

impl TargetOnly {
    /// Whether the data stay at the target although the source lacks them.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.lost.contains(digest) || self.foreign.contains(digest)
    }

    /// The links of a repository that stay at the target although the source lacks them.
    pub(super) fn links(&self, name: &RepositoryName) -> Option<&LostLinks> {
        self.links.get(name)
    }
}

impl Named {
    /// Adds what the links name that stay at the target when those are removed that the source lacks and has not lost.
    fn add_common(&mut self, found: &RepositoryPair, lost: &LostLinks) {
        let mut extra = DigestSet::default();
        let removed = found.extra.layers.iter().filter(|digest| !lost.layers.contains(digest));
        removed.for_each(|digest| _ = extra.insert(digest));
        for digest in found.layers_there.iter().filter(|digest| !extra.contains(digest)) {
            self.data.insert(&digest);
        }
        let stays =
            |digest: &Digest| found.revisions_here.contains(digest) || lost.revisions.contains(digest);
        for digest in found.revisions_there.iter().filter(stays) {
            self.data.insert(&digest);
            self.revisions.insert(&digest);
        }
    }

    /// Adds what all links of the target name.
    fn add_all(&mut self, found: &RepositoryPair) {
        found.layers_there.iter().for_each(|digest| _ = self.data.insert(&digest));
        for digest in found.revisions_there.iter() {
            self.data.insert(&digest);
            self.revisions.insert(&digest);
        }
    }
}

fn note(names: &mut Names, found: &RepositoryPair) {
    let first = found.name.as_str().split('/').next().unwrap_or_default();
    let seen = names.entry(first.to_owned()).or_default();
    seen.0 |= found.is_in_source();
    seen.1 += u64::from(found.in_target != [0; 3]);
}

fn check_names(names: Names) -> Result<()> {
    let vanished = names.into_iter().find(|(_, (is_in_source, there))| !is_in_source && *there > 0);
    match vanished {
        None => Ok(()),
        Some((name, (_, count))) => Err(Error::RepositoriesVanished {
            below: format!("{}/{name}", layout::repositories_root()),
            count,
        }),
    }
}

/// Adds those of the candidates to `kept` that an image names whose link stays at the target. The children of an index have
/// links of their own.
async fn parts_of(
    migration: &Migration,
    named: &Named,
    candidates: &DigestSet,
    kept: &mut DigestSet,
) -> Result<()> {
    let read = |digest: Digest| {
        let target = migration.target.clone();
        async move {
            let path = Entry::Blob(digest).path();
            let file = target.stat_if_any(&path).await.at_target()?;
            match file.is_some_and(|file| file.size_bytes <= MAX_MANIFEST_BYTES) {
                true => target.get_content_if_any(&path).await.at_target(),
                false => Ok(None),
            }
        }
    };
    let revisions: Vec<Digest> = named.revisions.iter().filter(Digest::is_canonical).collect();
    let contents = stream::iter(revisions.into_iter().map(Ok)).map_ok(read);
    let mut contents = std::pin::pin!(contents.try_buffer_unordered(CONCURRENCY));
    while let Some(content) = contents.try_next().await? {
        let manifest = content.and_then(|content| Manifest::parse(&content, None).ok());
        let Some(manifest) = manifest.filter(|manifest| !manifest.kind.is_index()) else { continue };
        for digest in manifest.references().filter(|digest| candidates.contains(digest)) {
            kept.insert(digest);
        }
    }
    Ok(())
}
