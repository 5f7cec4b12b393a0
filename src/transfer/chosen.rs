//! Which repositories, tags and manifests of a source an export has.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::selection::version_of;
use crate::{Error, ExportOptions, Result, Source};

/// How many times of tags are looked up in parallel.
const CONCURRENT_LOOKUPS: usize = 16;

/// The selected images of a repository.
#[derive(Default)]
pub(crate) struct Selected {
    /// All tags of the repository.
    pub(crate) all: Vec<Tag>,
    /// Selected tags, with the digest that they must have.
    pub(crate) tags: Vec<(Tag, Option<Digest>)>,
    pub(crate) digests: Vec<Digest>,
}

/// The repositories with selected images, in the order of the selectors.
pub(crate) async fn select(
    source: &dyn Source,
    options: &ExportOptions,
) -> Result<Vec<(RepositoryName, Selected)>> {
    let repositories = source.repositories().await?;
    let mut chosen: Vec<(RepositoryName, Selected)> = Vec::new();
    let mut listed: Vec<HashSet<Tag>> = Vec::new();
    let mut places: HashMap<&RepositoryName, usize> = HashMap::new();
    for selector in &options.selectors {
        let mut matched = false;
        for name in repositories.iter().filter(|name| selector.has_repository(name)) {
            let place = match places.get(name) {
                Some(place) => *place,
                None => {
                    let all = source.tags(name).await?;
                    chosen.push((name.clone(), Selected { all, ..Selected::default() }));
                    listed.push(HashSet::new());
                    places.insert(name, chosen.len() - 1);
                    chosen.len() - 1
                }
            };
            let selected = &mut chosen[place].1;
            let tags: Vec<Tag> = selected.all.iter().filter(|tag| selector.has_tag(tag)).cloned().collect();
            matched |= !tags.is_empty() || selector.digest().is_some() || selector.has_any_tag();
            for tag in tags.into_iter().filter(|tag| !options.is_excluded(name, tag)) {
                if listed[place].insert(tag.clone()) {
                    selected.tags.push((tag, selector.digest().cloned()));
                }
            }
            selected.digests.extend(selector.digest().cloned());
        }
        if !matched {
            return Err(Error::NoMatch(selector.to_string()));
        }
    }
    for (name, selected) in &mut chosen {
        if let Some(since) = options.since {
            keep_since(source, name, selected, since).await?;
        }
        if let Some(count) = options.latest {
            keep_latest(name, selected, count)?;
        }
    }
    // A repository of which a pattern matched no tag is no part of the export.
    chosen.retain(|(_, selected)| {
        selected.all.is_empty() || !selected.tags.is_empty() || !selected.digests.is_empty()
    });
    Ok(chosen)
}

impl ExportOptions {
    pub(crate) fn is_excluded(&self, name: &RepositoryName, tag: &Tag) -> bool {
        let mut exclude = self.exclude.iter().filter(|selector| selector.digest().is_none());
        exclude.any(|selector| selector.has_repository(name) && selector.has_tag(tag))
    }

    /// Whether the image is excluded by its digest; if a tag is named too, under that tag only.
    pub(crate) fn is_excluded_digest(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        digest: &Digest,
    ) -> bool {
        let mut exclude = self.exclude.iter().filter(|selector| selector.digest() == Some(digest));
        exclude.any(|selector| {
            selector.has_repository(name)
                && (selector.has_no_tag() || tag.is_some_and(|tag| selector.has_tag(tag)))
        })
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
