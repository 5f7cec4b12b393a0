//! Pruning: removes the tags of a mirror that its original no longer has.
//!
//! A tag is stale if its repository is whole in the bundle and no image of the bundle has it. A fallback tag whose subject the
//! bundle has is not stale: the import itself, or a signature on the far side, may have set it. Nothing else is removed: no
//! manifest, no blob, and no tag that moved since it was shown.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, Plan};
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use serde::Serialize;

use crate::fallback::{in_tag, subject_in};
use crate::{Error, Renames, Result, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// The tags of a target that a bundle does not have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PrunePlan {
    /// The repositories that are whole in the bundle, sorted.
    pub repositories: Vec<StaleRepository>,
    /// The repositories that are not whole in the bundle, and keep all their tags; sorted.
    pub incomplete: Vec<RepositoryName>,
}

/// A repository of the target, and its stale tags.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaleRepository {
    /// The name in the target.
    pub name: RepositoryName,
    /// The number of all its tags.
    pub all: usize,
    /// The stale tags with their digests, sorted.
    pub stale: Vec<(Tag, Digest)>,
}

/// The outcome for the stale tags.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PruneReport {
    /// The stale tags.
    pub tags: Vec<PrunedTag>,
    /// The repositories that are not whole in the bundle, and keep all their tags.
    pub incomplete: Vec<String>,
}

/// A stale tag.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PrunedTag {
    /// The tag with its repository, such as `team/app:0.9`.
    pub tag: String,
    /// The digest that it had when it was found.
    pub digest: Digest,
    /// The outcome.
    pub outcome: PruneOutcome,
}

/// The outcome for a stale tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PruneOutcome {
    /// It is only shown.
    Shown,
    /// It is removed.
    Removed,
    /// It stays: since it was found it moved, or another client removed it.
    Changed,
}

impl PrunePlan {
    /// Finds the stale tags of `target`, whose repositories have other names by `renames`.
    ///
    /// # Errors
    ///
    /// `NotComplete` when no repository is whole in the bundle, or images of a whole one were left out by their platform; any
    /// error of the target.
    pub async fn of(plan: &Plan, target: &dyn Target, renames: &Renames) -> Result<Self> {
        let mut found = Self::default();
        let subjects = subjects(plan);
        for (name, named) in named(plan, renames)? {
            if !named.complete {
                found.incomplete.push(name);
                continue;
            }
            let all = target.tags(&name).await?;
            let is_kept = |tag: &&Tag| {
                named.tags.contains(tag) || subject_in(tag).is_some_and(|subject| subjects.contains(subject))
            };
            let stale = all.iter().filter(|tag| !is_kept(tag));
            let stale = stream::iter(stale).map(|tag| {
                let name = &name;
                async move { Ok::<_, Error>(target.tag(name, tag).await?.map(|digest| (tag.clone(), digest))) }
            });
            // A tag without its manifest cannot be pulled, and is no tag of an image.
            let stale: Vec<Option<_>> = stale.buffered(CONCURRENT_CHECKS).try_collect().await?;
            let stale = stale.into_iter().flatten().collect();
            found.repositories.push(StaleRepository { all: all.len(), stale, name });
        }
        if found.repositories.is_empty() {
            return Err(Error::NotComplete("no repository is whole in the bundle".to_owned()));
        }
        Ok(found)
    }

    /// The stale tags, as they are shown.
    pub fn shown(&self) -> PruneReport {
        self.report(self.tags().map(|_| PruneOutcome::Shown).collect())
    }

    /// The repositories that would lose more than a quarter of their tags.
    pub fn large(&self) -> impl Iterator<Item = &StaleRepository> {
        self.repositories.iter().filter(|repository| repository.stale.len() * 4 > repository.all)
    }

    /// Removes the stale tags. A tag that has another digest now stays.
    ///
    /// # Errors
    ///
    /// Any error of the target; tags that were removed before stay removed.
    pub async fn apply(&self, target: &dyn Target) -> Result<PruneReport> {
        let mut outcomes = Vec::new();
        for (name, (tag, digest)) in self.tags() {
            outcomes.push(match target.delete_tag(name, tag, digest).await? {
                true => PruneOutcome::Removed,
                false => PruneOutcome::Changed,
            });
        }
        Ok(self.report(outcomes))
    }

    fn tags(&self) -> impl Iterator<Item = (&RepositoryName, &(Tag, Digest))> {
        self.repositories.iter().flat_map(|it| it.stale.iter().map(|stale| (&it.name, stale)))
    }

    fn report(&self, outcomes: Vec<PruneOutcome>) -> PruneReport {
        let tags = self.tags().zip(outcomes).map(|((name, (tag, digest)), outcome)| PrunedTag {
            tag: format!("{name}:{tag}"),
            digest: digest.clone(),
            outcome,
        });
        let incomplete = self.incomplete.iter().map(ToString::to_string).collect();
        PruneReport { tags: tags.collect(), incomplete }
    }
}

/// A repository of the target as a bundle describes it.
struct BundledRepository<'a> {
    complete: bool,
    tags: HashSet<&'a Tag>,
}

/// The repositories of the target. Several of the bundle may become one, which is whole if all of them are.
fn named<'a>(plan: &'a Plan, renames: &Renames) -> Result<BTreeMap<RepositoryName, BundledRepository<'a>>> {
    let mut named: BTreeMap<RepositoryName, BundledRepository<'a>> = BTreeMap::new();
    for repository in &plan.repositories {
        let mut left_out = repository.images.iter().flat_map(|image| &image.left_out);
        if repository.complete && left_out.any(|left_out| !left_out.platform.is_empty()) {
            let problem = format!("the bundle lacks platforms of images of {}", repository.name);
            return Err(Error::NotComplete(problem));
        }
        let target = renames.apply(&repository.name)?;
        let entry = named.entry(target).or_insert(BundledRepository { complete: true, tags: HashSet::new() });
        entry.complete &= repository.complete;
        entry.tags.extend(repository.images.iter().flat_map(|image| &image.tags));
    }
    Ok(named)
}

/// The manifests of a bundle, as fallback tags name them.
fn subjects(plan: &Plan) -> HashSet<String> {
    let carried = plan.contents.iter().filter(|content| content.kind == ContentKind::Manifest);
    let referrers = plan.images().flat_map(|(_, image)| image.referrers.iter().map(|it| &it.digest));
    let digests = carried.map(|content| &content.digest).chain(referrers);
    digests.chain(plan.images().map(|(_, image)| &image.digest)).map(in_tag).collect()
}
