//! `compare`: counts the content of both stores, and finds the differences.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverPath, StorageDriver, StorageDriverExt};

use super::caution::TargetOnly;
use super::digest_set::DigestSet;
use super::error::NameStore;
use super::lost_links::LostLinks;
use super::merged::Merged;
use super::report::{Comparison, DifferenceKind, StoreCounts};
use super::repositories::{LAYERS, REVISIONS, Repositories, RepositoryPair, TAGS, TagInBoth};
use super::repository::parse;
use super::{CONCURRENCY, Error, Migration, Result, check_seen, others, removal};
use crate::layout::{self, Entry};
use crate::oci::{Digest, RepositoryName, Tag};

/// Compares both stores after a removal that has `kept` some data and links. Links that lead nowhere at the source, and tags
/// that only the source has and that lead nowhere, count on neither side.
pub(super) async fn compare(migration: &Migration, kept: &TargetOnly) -> Result<Comparison> {
    let Migration { source, target, options, .. } = migration;
    let mut comparison = Comparison::default();
    let (mut selected, mut linked) = (DigestSet::default(), DigestSet::default());
    let mut repositories = Repositories::new(source, target, options.selection.clone());
    while let Some(found) = repositories.next().await? {
        check_seen(repositories.take_findings().1)?;
        if !options.selection.is_everything() {
            let Files { layers, revisions } = Files::of(&found, kept.links(&found.name));
            layers.iter().chain(&revisions).for_each(|digest| _ = selected.insert(digest));
            found
                .layers_there
                .iter()
                .chain(found.revisions_there.iter())
                .for_each(|digest| _ = linked.insert(&digest));
        }
        compare_repository(migration, found, kept, &mut comparison).await?;
    }
    check_seen(repositories.take_findings().1)?;
    match options.selection.is_everything() {
        true => compare_data(migration, kept, &mut comparison).await?,
        false => compare_selected(migration, &selected, &linked, &mut comparison).await?,
    }
    compare_others(migration, &mut comparison).await?;
    Ok(comparison)
}

/// The digests that a repository links at the target, or will.
struct Files {
    layers: Vec<Digest>,
    revisions: Vec<Digest>,
}

impl Files {
    fn of(found: &RepositoryPair, lost: Option<&LostLinks>) -> Self {
        let extra: &super::repositories::Files = &found.extra;
        let with = |there: &DigestSet, missing: &[Digest], extra: &[Digest], lost: Option<&DigestSet>| {
            let mut only_there = DigestSet::default();
            let extra = extra.iter().filter(|digest| !lost.is_some_and(|lost| lost.contains(digest)));
            extra.for_each(|digest| _ = only_there.insert(digest));
            let there = there.iter().filter(move |digest| !only_there.contains(digest));
            there.chain(missing.iter().cloned()).filter(Digest::is_canonical).collect()
        };
        Self {
            layers: with(
                &found.layers_there,
                &found.missing.layers,
                &extra.layers,
                lost.map(|lost| &lost.layers),
            ),
            revisions: with(
                &found.revisions_there,
                &found.missing.revisions,
                &extra.revisions,
                lost.map(|lost| &lost.revisions),
            ),
        }
    }
}

async fn compare_repository(
    migration: &Migration,
    found: RepositoryPair,
    kept: &TargetOnly,
    comparison: &mut Comparison,
) -> Result<()> {
    let (is_extra_counted, is_confirmed) = (!migration.options.merge, migration.options.confirmed);
    let RepositoryPair { name, missing, extra, tags, revisions_here, mut in_source, mut in_target, .. } =
        found;
    let lost = kept.links(&name);
    let is_lost = |kind: usize, digest: &Digest| {
        lost.is_some_and(|lost| if kind == LAYERS { &lost.layers } else { &lost.revisions }.contains(digest))
    };
    for (kind, digests) in [(LAYERS, missing.layers), (REVISIONS, missing.revisions)] {
        for digest in digests {
            let entry = link(kind, &name, digest.clone());
            match leads_nowhere(&migration.source, &entry, &digest).await? {
                true => in_source[kind] -= 1,
                false => comparison.add(entry.path(), DifferenceKind::Missing),
            }
        }
    }
    for (kind, digests) in [(LAYERS, extra.layers), (REVISIONS, extra.revisions)] {
        for digest in digests {
            match is_lost(kind, &digest) {
                true => comparison.add_lost(link(kind, &name, digest).path(), is_confirmed),
                false if is_extra_counted => {
                    comparison.add(link(kind, &name, digest).path(), DifferenceKind::Extra);
                }
                false => in_target[kind] -= 1,
            }
        }
    }
    let compare = |tag: TagInBoth| {
        let (migration, name) = (migration.clone(), name.clone());
        async move { compare_tag(&migration, &name, tag).await }
    };
    let mut compared = stream::iter(tags).map(compare).buffered(CONCURRENCY);
    while let Some((tag, verdict)) = compared.try_next().await? {
        let path = || Entry::TagCurrent(name.clone(), tag.clone()).path();
        match verdict {
            Verdict::Equal(Some(digest))
                if is_extra_counted && !revisions_here.contains(&digest) && !is_lost(REVISIONS, &digest) =>
            {
                match is_confirmed {
                    true => comparison.kept.push(path()),
                    false => comparison.add(path(), DifferenceKind::LeadsNowhere),
                }
            }
            Verdict::Equal(_) => {}
            Verdict::Differs(DifferenceKind::Extra) if !is_extra_counted => in_target[TAGS] -= 1,
            Verdict::Differs(how) => comparison.add(path(), how),
            Verdict::LeadsNowhere => in_source[TAGS] -= 1,
        }
    }
    add(&mut comparison.source, in_source);
    add(&mut comparison.target, in_target);
    Ok(())
}

fn link(kind: usize, name: &RepositoryName, digest: Digest) -> Entry {
    match kind {
        LAYERS => Entry::LayerLink(name.clone(), digest),
        _ => Entry::RevisionLink(name.clone(), digest),
    }
}

fn add(holdings: &mut StoreCounts, numbers: [u64; 3]) {
    holdings.repositories += u64::from(numbers != [0; 3]);
    holdings.tags += numbers[TAGS];
    holdings.revisions += numbers[REVISIONS];
    holdings.layer_links += numbers[LAYERS];
}

/// Whether a link of the source has no data there.
async fn leads_nowhere(source: &Arc<dyn StorageDriver>, entry: &Entry, digest: &Digest) -> Result<bool> {
    let content = source.get_content_if_any(&entry.path()).await.at_source()?;
    let Some(content) = content else { return Ok(true) };
    let canonical = match digest.is_canonical() {
        true => Some(digest.clone()),
        false => parse(&content).filter(Digest::is_canonical),
    };
    match canonical {
        None => Ok(false),
        Some(canonical) => Ok(!source.exists(&Entry::Blob(canonical).path()).await.at_source()?),
    }
}

enum Verdict {
    /// Both stores have the tag, which points at this manifest, or neither has it.
    Equal(Option<Digest>),
    Differs(DifferenceKind),
    LeadsNowhere,
}

async fn compare_tag(migration: &Migration, name: &RepositoryName, tag: TagInBoth) -> Result<(Tag, Verdict)> {
    let path = Entry::TagCurrent(name.clone(), tag.tag.clone()).path();
    let here = async { migration.source.get_content_if_any(&path).await.at_source() };
    let there = async { migration.target.get_content_if_any(&path).await.at_target() };
    let (here, there) = futures::try_join!(here, there)?;
    let verdict = match (here, there) {
        (Some(here), Some(there)) if parse(&here).is_some() && parse(&here) == parse(&there) => {
            Verdict::Equal(parse(&here))
        }
        (Some(_), Some(_)) => Verdict::Differs(DifferenceKind::Other),
        (None, Some(_)) if tag.is_obstructed => Verdict::Differs(DifferenceKind::Other),
        (None, None) if tag.is_obstructed => Verdict::Differs(DifferenceKind::Missing),
        (None, Some(_)) => Verdict::Differs(DifferenceKind::Extra),
        (None, None) => Verdict::Equal(None),
        (Some(here), None) => match parse(&here) {
            Some(digest) => {
                let link = Entry::RevisionLink(name.clone(), digest.clone());
                match leads_nowhere(&migration.source, &link, &digest).await? {
                    true => Verdict::LeadsNowhere,
                    false => Verdict::Differs(DifferenceKind::Missing),
                }
            }
            None => Verdict::Differs(DifferenceKind::Missing),
        },
    };
    Ok((tag.tag, verdict))
}

/// Compares all data, by their lengths: they were hashed when they were copied.
async fn compare_data(migration: &Migration, kept: &TargetOnly, comparison: &mut Comparison) -> Result<()> {
    let mut merged = Merged::new(&migration.source, &migration.target, &layout::blobs_root());
    while let Some(pair) = merged.next().await? {
        check_seen(merged.take_unseen())?;
        let digest = match Entry::parse(&pair.path) {
            Some(Entry::Blob(digest)) if digest.is_canonical() => digest,
            _ => continue,
        };
        let (source, target) =
            (pair.source.map(|file| file.size_bytes), pair.target.map(|file| file.size_bytes));
        if source.is_none() && kept.lost.contains(&digest) {
            add_lost(migration, comparison, pair.path, target);
            continue;
        }
        let is_foreign = source.is_none() && (migration.options.merge || kept.has(&digest));
        add_data(comparison, pair.path, source, target.filter(|_| !is_foreign));
    }
    check_seen(merged.take_unseen())
}

/// Compares the data that the selected repositories link; `linked` are those of links that the target has.
async fn compare_selected(
    migration: &Migration,
    selected: &DigestSet,
    linked: &DigestSet,
    comparison: &mut Comparison,
) -> Result<()> {
    let stat = |digest: Digest| {
        let (source, target) = (migration.source.clone(), migration.target.clone());
        let is_linked = linked.contains(&digest);
        async move {
            let path = Entry::Blob(digest).path();
            let here = async { source.stat_if_any(&path).await.at_source() };
            let there = async { target.stat_if_any(&path).await.at_target() };
            let (here, there) = futures::try_join!(here, there)?;
            let sizes = (here.map(|file| file.size_bytes), there.map(|file| file.size_bytes));
            Ok::<_, Error>((path, is_linked, sizes))
        }
    };
    let digests: Vec<Digest> = selected.iter().collect();
    let mut found = stream::iter(digests).map(stat).buffered(CONCURRENCY);
    while let Some((path, is_linked, (source, target))) = found.try_next().await? {
        if source.is_none() && target.is_some() && is_linked && !migration.options.merge {
            add_lost(migration, comparison, path, target);
            continue;
        }
        // The target may have data for another repository that the source lacks.
        add_data(comparison, path, source, target.filter(|_| source.is_some()));
    }
    Ok(())
}

fn add_data(comparison: &mut Comparison, path: DriverPath, source: Option<u64>, target: Option<u64>) {
    for (holdings, bytes) in [(&mut comparison.source, source), (&mut comparison.target, target)] {
        holdings.blobs += u64::from(bytes.is_some());
        holdings.bytes += bytes.unwrap_or_default();
    }
    match (source, target) {
        (Some(source), Some(target)) if source != target => comparison.add(path, DifferenceKind::Other),
        (Some(_), None) => comparison.add(path, DifferenceKind::Missing),
        (None, Some(_)) => comparison.add(path, DifferenceKind::Extra),
        _ => {}
    }
}

/// Adds data that the source has lost.
fn add_lost(migration: &Migration, comparison: &mut Comparison, path: DriverPath, target: Option<u64>) {
    comparison.target.blobs += 1;
    comparison.target.bytes += target.unwrap_or_default();
    comparison.add_lost(path, migration.options.confirmed);
}

async fn compare_others(migration: &Migration, comparison: &mut Comparison) -> Result<()> {
    let have_vanished = removal::tokens_vanished(&migration.source, &migration.target).await?;
    for root in others::roots() {
        let how = match have_vanished && root == layout::access_tokens_root() {
            true => DifferenceKind::Vanished,
            false => DifferenceKind::Extra,
        };
        let mut merged = Merged::new(&migration.source, &migration.target, &root);
        while let Some(pair) = merged.next().await? {
            check_seen(merged.take_unseen())?;
            if !others::goes_along(&pair.path, &migration.options.selection) {
                continue;
            }
            match (&pair.source, &pair.target) {
                (Some(_), None) => comparison.add(pair.path, DifferenceKind::Missing),
                (None, Some(_)) if !migration.options.merge => comparison.add(pair.path, how),
                (Some(source), Some(target)) if source.size_bytes != target.size_bytes => {
                    comparison.add(pair.path, DifferenceKind::Other);
                }
                _ => {}
            }
        }
        check_seen(merged.take_unseen())?;
    }
    Ok(())
}
