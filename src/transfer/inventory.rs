//! Inventories: what a registry has, as sorted lines of text to carry over the gap in the other direction.
//!
//! `sha256:… SIZE REPOSITORY` is data, `REPOSITORY:TAG sha256:…` a tag. A line is a claim of the registry itself: nothing is
//! listed that it did not confirm.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

use crate::source::shown;
use crate::{Error, FoundManifest, Progress, Result, Selector, Source, StoreSource};

/// The content of a registry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inventory {
    /// The lines, sorted.
    pub lines: Vec<String>,
    /// The tags that are not listed, because their manifests are missing or damaged.
    pub unreadable: Vec<String>,
}

/// How many questions to a registry are open at a time.
const CONCURRENT_REQUESTS: usize = 8;

/// What a store has in the selected repositories, tagged or not: all if `selectors` is empty. `progress` counts manifests that are
/// read, and tags as images.
///
/// # Errors
///
/// `NoMatch` for a selector that matches nothing; any error of the store.
pub async fn inventory(
    source: &StoreSource,
    selectors: &[Selector],
    tags_only: bool,
    progress: &Progress,
) -> Result<Inventory> {
    let mut sizes: HashMap<Digest, u64> = HashMap::new();
    if !tags_only {
        let mut data = source.registry().data();
        while let Some((digest, size_bytes)) = data.try_next().await? {
            sizes.insert(digest, size_bytes);
        }
    }
    let (mut lines, mut unreadable) = (Vec::new(), Vec::new());
    for (name, tags) in selected(source, selectors).await? {
        for tag in tags {
            let reference = Reference::Tag(tag.clone());
            let found = readable(source, &name, &reference).await?;
            note(progress, found.as_ref(), &reference);
            match found {
                Some(found) => lines.push(tag_line(&name, &tag, &found.digest)),
                None => unreadable.push(shown(&name, &reference)),
            }
        }
        if tags_only {
            continue;
        }
        let repository = source.registry().repository(name.clone());
        let (manifests, blobs) = (repository.manifests().list(), repository.blobs().list());
        let mut links = stream::select(manifests, blobs);
        while let Some(digest) = links.try_next().await? {
            let size_bytes = match sizes.get(&digest) {
                Some(size_bytes) => Some(*size_bytes),
                None if digest.is_canonical() => None,
                None => alias_size(source, &name, &digest).await?,
            };
            lines.extend(size_bytes.map(|size_bytes| data_line(&name, &digest, size_bytes)));
        }
    }
    Ok(Inventory { lines: sorted(lines), unreadable })
}

/// What can be found by its API in the selected repositories of a registry: the tags, and everything that they refer to or that
/// is attached to it. `progress` counts as for [`inventory`].
///
/// # Errors
///
/// `NoMatch` for a selector that matches nothing; any error of the registry.
pub async fn inventory_by_api(
    source: &dyn Source,
    selectors: &[Selector],
    tags_only: bool,
    progress: &Progress,
) -> Result<Inventory> {
    let (mut lines, mut unreadable) = (Vec::new(), Vec::new());
    for (name, tags) in selected(source, selectors).await? {
        let (mut blobs, mut seen): (HashSet<Digest>, HashSet<Digest>) = Default::default();
        let mut references: Vec<Reference> = tags.into_iter().map(Reference::Tag).collect();
        while !references.is_empty() {
            let found = stream::iter(std::mem::take(&mut references)).map(|reference| {
                let name = &name;
                async move {
                    let found = readable(source, name, &reference).await?;
                    let referrers = match &found {
                        Some(found) if !tags_only => source.referrers(name, &found.digest).await?,
                        _ => Vec::new(),
                    };
                    Ok::<_, Error>((found, referrers, reference))
                }
            });
            let mut found = found.buffered(CONCURRENT_REQUESTS);
            let mut level = Vec::new();
            while let Some((found, referrers, reference)) = found.try_next().await? {
                note(progress, found.as_ref(), &reference);
                match (found, reference) {
                    (Some(found), reference) => {
                        if let Reference::Tag(tag) = &reference {
                            lines.push(tag_line(&name, tag, &found.digest));
                        }
                        if !tags_only && seen.insert(found.digest.clone()) {
                            lines.push(data_line(&name, &found.digest, found.bytes.len() as u64));
                            level.push((found, referrers));
                        }
                    }
                    // An index may list content that is no manifest.
                    (None, Reference::Digest(digest)) => {
                        blobs.insert(digest);
                    }
                    (None, reference) => unreadable.push(shown(&name, &reference)),
                }
            }
            for (found, referrers) in level {
                references.extend(referrers.into_iter().map(|referrer| Reference::Digest(referrer.digest)));
                let Ok(manifest) = Manifest::parse(&found.bytes, None) else { continue };
                blobs.extend(manifest.config.iter().chain(&manifest.layers).map(|blob| blob.digest.clone()));
                references
                    .extend(manifest.manifests.into_iter().map(|child| Reference::Digest(child.digest)));
            }
            references.retain(|reference| match reference {
                Reference::Digest(digest) => !seen.contains(digest) && !blobs.contains(digest),
                Reference::Tag(_) => false,
            });
        }
        let sizes = stream::iter(blobs.difference(&seen)).map(|digest| {
            let name = &name;
            async move { Ok::<_, Error>((digest, known_size(source, name, digest).await?)) }
        });
        let mut sizes = sizes.buffered(CONCURRENT_REQUESTS);
        while let Some((digest, size_bytes)) = sizes.try_next().await? {
            lines.extend(size_bytes.map(|size_bytes| data_line(&name, digest, size_bytes)));
        }
    }
    Ok(Inventory { lines: sorted(lines), unreadable })
}

/// Counts a manifest that was read.
fn note(progress: &Progress, found: Option<&FoundManifest>, reference: &Reference) {
    progress.bytes.fetch_add(found.map_or(0, |found| found.bytes.len() as u64), Ordering::Relaxed);
    progress.images.fetch_add(u64::from(matches!(reference, Reference::Tag(_))), Ordering::Relaxed);
}

/// The length in bytes of content by another digest than the canonical one: of a blob, or of a manifest.
async fn alias_size(source: &StoreSource, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
    if let Some(size_bytes) = known_size(source, name, digest).await? {
        return Ok(Some(size_bytes));
    }
    let found = readable(source, name, &Reference::Digest(digest.clone())).await?;
    Ok(found.map(|found| found.bytes.len() as u64))
}

/// The length of a blob in bytes; `None` if it is missing, or the source cannot say it.
async fn known_size(source: &dyn Source, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
    match source.blob_size(name, digest).await {
        Err(Error::Image { .. }) => Ok(None),
        found => found,
    }
}

/// A manifest; `None` if it is missing or cannot be read.
async fn readable(
    source: &dyn Source,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Option<FoundManifest>> {
    match source.manifest(name, reference).await {
        Err(Error::Image { .. }) => Ok(None),
        found => found,
    }
}

/// The selected repositories, and the selected tags of each.
async fn selected(source: &dyn Source, selectors: &[Selector]) -> Result<Vec<(RepositoryName, Vec<Tag>)>> {
    let mut found = Vec::new();
    let mut matched = vec![false; selectors.len()];
    for name in source.repositories().await? {
        let wanted: Vec<(&Selector, usize)> =
            selectors.iter().zip(0..).filter(|(selector, _)| selector.has_repository(&name)).collect();
        if wanted.is_empty() && !selectors.is_empty() {
            continue;
        }
        let mut tags = source.tags(&name).await?.unwrap_or_default();
        for (selector, place) in &wanted {
            let is_named = selector.digest().is_some() || selector.names_repositories();
            matched[*place] |= is_named || tags.iter().any(|tag| selector.has_tag(tag));
        }
        tags.retain(|tag| wanted.is_empty() || wanted.iter().any(|(selector, _)| selector.has_tag(tag)));
        found.push((name, tags));
    }
    match matched.iter().position(|matched| !matched) {
        Some(place) => Err(Error::NoMatch(selectors[place].to_string())),
        None => Ok(found),
    }
}

fn tag_line(name: &RepositoryName, tag: &Tag, digest: &Digest) -> String {
    format!("{name}:{tag} {digest}")
}

fn data_line(name: &RepositoryName, digest: &Digest, size_bytes: u64) -> String {
    format!("{digest} {size_bytes} {name}")
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines.dedup();
    lines
}
