//! Which repositories, tags and manifests of a source an export has.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, RepositoryName, Tag, version_of};

use crate::fallback::{fallback_tags, subject_in};
use crate::plan_size::PlanSize;
use crate::{Error, ExportOptions, Result, Source};

/// How many times of tags are looked up in parallel.
const CONCURRENT_LOOKUPS: usize = 16;

/// The selected images of a repository.
#[derive(Default)]
pub(crate) struct Selected {
    /// Whether the source has a list of its tags.
    pub(crate) is_listed: bool,
    /// The number of all its tags.
    pub(crate) all: usize,
    /// All its fallback tags, by the digest that they belong to.
    pub(crate) fallback: HashMap<String, Vec<Tag>>,
    /// Selected tags, with the digest that they must have.
    pub(crate) tags: Vec<(Tag, Option<Digest>)>,
    pub(crate) digests: Vec<Digest>,
}

/// The repositories with selected images, in the order of the selectors. Adds the places of the exclusions that match
/// something to `used`.
pub(crate) async fn select(
    source: &dyn Source,
    options: &ExportOptions,
    max_bytes: u64,
    used: &mut HashSet<usize>,
) -> Result<Vec<(RepositoryName, Selected)>> {
    let repositories = source.repositories().await?;
    let selectors = &options.selectors;
    let mut chosen: Vec<(RepositoryName, Selected)> = Vec::new();
    let mut seen: HashSet<&RepositoryName> = HashSet::new();
    let mut matched = vec![false; selectors.len()];
    let mut size = PlanSize::new(max_bytes);
    for (place, selector) in selectors.iter().enumerate() {
        for name in repositories.iter().filter(|name| selector.has_repository(name)) {
            if !seen.insert(name) {
                continue;
            }
            // No selector before this one has the repository.
            let all = source.tags(name).await?;
            let is_listed = all.is_some();
            let all = all.unwrap_or_default();
            let mut selected = Selected::of(name, &all, options, place, &mut matched, used);
            selected.is_listed = is_listed;
            drop(all);
            if let Some(since) = options.since {
                keep_since(source, name, &mut selected, since).await?;
            }
            if let Some(count) = options.latest {
                keep_latest(name, &mut selected, count)?;
            }
            // A repository of which a pattern matched no tag is no part of the export.
            if selected.all == 0 || !selected.tags.is_empty() || !selected.digests.is_empty() {
                size.add(selected.tags.iter().map(|(tag, _)| tag.as_str()))?;
                size.add(selected.fallback.values().flatten().map(Tag::as_str))?;
                chosen.push((name.clone(), selected));
            }
        }
        if !matched[place] {
            return Err(Error::NoMatch(selector.to_string()));
        }
    }
    Ok(chosen)
}

impl Selected {
    /// What the selectors from `first` on have of a repository with the tags `all`.
    fn of(
        name: &RepositoryName,
        all: &[Tag],
        options: &ExportOptions,
        first: usize,
        matched: &mut [bool],
        used: &mut HashSet<usize>,
    ) -> Self {
        let mut selected = Self { all: all.len(), fallback: fallback_tags(all), ..Self::default() };
        let mut places: HashMap<&Tag, usize> = HashMap::new();
        let selectors = options.selectors.iter().zip(matched).skip(first);
        for (selector, matched) in selectors.filter(|(selector, _)| selector.has_repository(name)) {
            *matched |= selector.digest().is_some() || selector.names_repositories();
            selected.digests.extend(selector.digest().cloned());
            for tag in all.iter().filter(|tag| selector.has_tag(tag)) {
                *matched = true;
                let is_left_out = !options.referrers && subject_in(tag).is_some();
                if options.is_excluded(name, tag, used) || is_left_out {
                    continue;
                }
                match places.get(tag) {
                    None => {
                        places.insert(tag, selected.tags.len());
                        selected.tags.push((tag.clone(), selector.digest().cloned()));
                    }
                    // Another selector has it with any digest.
                    Some(place) if selector.digest().is_none() => selected.tags[*place].1 = None,
                    Some(_) => {}
                }
            }
        }
        selected
    }
}

/// Keeps the tags that were set at `since` or later.
async fn keep_since(
    source: &dyn Source,
    name: &RepositoryName,
    selected: &mut Selected,
    since: SystemTime,
) -> Result<()> {
    let times = stream::iter(selected.tags.drain(..)).map(|(tag, digest)| async move {
        Ok::<_, Error>((source.tag_time(name, &tag).await?, (tag, digest)))
    });
    let times: Vec<_> = times.buffered(CONCURRENT_LOOKUPS).try_collect().await?;
    let recent = times.into_iter().filter(|(time, _)| time.is_some_and(|time| time >= since));
    selected.tags = recent.map(|(_, tag)| tag).collect();
    Ok(())
}

fn keep_latest(name: &RepositoryName, selected: &mut Selected, count: usize) -> Result<()> {
    let mut versions: Vec<_> =
        selected.tags.iter().filter_map(|(tag, _)| Some((version_of(tag.as_str())?, tag.clone()))).collect();
    if versions.is_empty() && !selected.tags.is_empty() {
        return Err(Error::NoVersions(name.clone()));
    }
    versions.sort_by(|a, b| b.cmp(a));
    let kept: HashSet<Tag> = versions.into_iter().take(count).map(|(_, tag)| tag).collect();
    selected.tags.retain(|(tag, _)| kept.contains(tag));
    Ok(())
}
