//! Planning: walks the selected images of a source and makes the plan of a bundle.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, stream};
use sampan_bundle::{
    ContentKind, MAX_MANIFEST_JSON, MAX_PLAN_BYTES, PlannedContent, PlannedImage, PlannedRepository,
    Presumed, RewrittenIndex,
};
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

use crate::chosen::{Selected, select};
use crate::draft::{Draft, DraftContent};
use crate::fallback::{in_tag, subject_in};
use crate::plan_size::PlanSize;
use crate::planned::{Planned, PlannedFailure};
use crate::queue::{CONCURRENT_IMAGES, Queue};
use crate::rewrite::{IndexPolicy, RewrittenImage};
use crate::selection::shown_platforms;
use crate::source::shown;
use crate::{Error, ExportOptions, Result, Source};

/// Plans an export from `source`. It reads every selected manifest, and asks for every blob.
///
/// # Errors
///
/// `NoMatch` for a selector that matches nothing, `NoVersions`, `NoTagTimes`, `NoPlatform`; `Image` for an image that cannot be
/// exported, unless [`keep_going`](ExportOptions::keep_going) is set; `TooLarge` for more than a plan can have; any error of the source.
pub async fn plan(source: &dyn Source, options: &ExportOptions) -> Result<Planned> {
    plan_within(source, options, MAX_PLAN_BYTES).await
}

/// Plans an export whose plan has at most `max_bytes` as a file.
pub(crate) async fn plan_within(
    source: &dyn Source,
    options: &ExportOptions,
    max_bytes: u64,
) -> Result<Planned> {
    let mut planner = Planner {
        source,
        options,
        max_bytes,
        planned: Planned::default(),
        index: HashMap::new(),
        size: PlanSize::new(max_bytes),
        docker_bytes: 0,
        rewritten: HashSet::new(),
        used: HashSet::new(),
    };
    let plan = &mut planner.planned.plan;
    plan.source = options.host.clone();
    plan.created = options.created.clone();
    plan.index = options.index;
    plan.docker_platform = options.docker_platform.to_string();
    plan.bases = options.have.bases().to_vec();
    let chosen = select(source, options, max_bytes, &mut planner.used).await?;
    for (name, selected) in chosen {
        planner.repository(name, selected).await?;
    }
    let Planner { mut planned, index, used, .. } = planner;
    let is_empty =
        planned.plan.images().next().is_none() && planned.unchanged == 0 && planned.failures.is_empty();
    if is_empty && !planned.other_platforms.is_empty() {
        return Err(Error::NoPlatform(shown_platforms(&options.platforms)));
    }
    let unused = options.exclude.iter().zip(0..).filter(|(_, place)| !used.contains(place));
    planned.unused_exclusions = unused.map(|(selector, _)| selector.to_string()).collect();
    planned.plan.rewritten.retain(|it| matches!(index.get(&it.digest), Some(PlannedAs::Carried(_))));
    if !planned.plan.rewritten.is_empty() {
        planned.plan.rewritten_for = options.platforms.iter().map(ToString::to_string).collect();
    }
    // An image that came later may carry it nevertheless.
    planned.plan.presumed.retain(|presumed| matches!(index.get(&presumed.digest), Some(PlannedAs::Presumed)));
    planned.plan.totals()?;
    Ok(planned)
}

struct Planner<'a> {
    source: &'a dyn Source,
    options: &'a ExportOptions,
    max_bytes: u64,
    planned: Planned,
    /// Where each digest is in the plan.
    index: HashMap<Digest, PlannedAs>,
    size: PlanSize,
    /// The digits of the digests in [`Planned::docker`].
    docker_bytes: usize,
    /// The indexes of the source in [`Plan::rewritten`].
    rewritten: HashSet<Digest>,
    /// The places of the selectors in [`ExportOptions::exclude`] that matched something.
    used: HashSet<usize>,
}

#[derive(Clone, Copy)]
enum PlannedAs {
    Carried(usize),
    Presumed,
}

/// The most repositories that are named for content that the far side has: a common layer may be in thousands.
const MAX_PRESUMED_REPOSITORIES: usize = 8;

impl Planner<'_> {
    async fn repository(&mut self, name: RepositoryName, mut selected: Selected) -> Result<()> {
        if self.options.indexes == IndexPolicy::Rewrite {
            // A fallback tag of a rewritten index is left out, so its index comes first.
            selected.tags.sort_by_key(|(tag, _)| subject_in(tag).is_some());
        }
        let named = selected.tags.iter().filter_map(|(_, digest)| digest.as_ref()).chain(&selected.digests);
        let named: HashSet<Digest> = named.cloned().collect();
        // The subjects of fallback tags that are left out.
        let mut rewritten: HashSet<String> = HashSet::new();
        let mut listed: HashSet<Tag> = selected.tags.iter().map(|(tag, _)| tag.clone()).collect();
        let mut queue = Queue::default();
        let mut is_whole = selected.is_listed && !self.source.is_partial(&name);
        if !selected.is_listed {
            self.size.add([name.as_str()])?;
            self.planned.unlisted.push(name.clone());
        }
        let (source, options) = (self.source, self.options);
        let found = stream::iter(&selected.tags).map(|(tag, required)| {
            let found = tagged(source, &name, tag);
            async move { (tag, required, found.await) }
        });
        let mut found = found.buffered(CONCURRENT_IMAGES);
        while let Some((tag, required, found)) = found.next().await {
            match found {
                Ok(digest) if required.as_ref().is_some_and(|required| *required != digest) => {}
                Ok(digest) if self.is_excluded(&name, Some(tag), &digest) => is_whole = false,
                Ok(digest) => queue.push_back(digest, Some(tag.clone())),
                Err(Error::Image { image, problem }) => {
                    is_whole = false;
                    self.fail(image, problem)?;
                }
                Err(error) => return Err(error),
            }
        }
        for digest in &selected.digests {
            if !self.is_excluded(&name, None, digest) {
                queue.push_back(digest.clone(), None);
            }
        }
        let mut images: Vec<PlannedImage> = Vec::new();
        let mut done: HashMap<Digest, usize> = HashMap::new();
        let max_bytes = self.max_bytes;
        let draft = async |digest: &Digest| Draft::of(source, options, &name, digest, max_bytes).await;
        while let Some((digest, mut tags, draft)) = queue.pop_front(draft).await {
            let had_tags = !tags.is_empty();
            tags.retain(|tag| subject_in(tag).is_none_or(|subject| !rewritten.contains(subject)));
            if had_tags && tags.is_empty() && !named.contains(&digest) {
                is_whole = false;
                continue;
            }
            let shown = tags.first().map_or(format!("{name}@{digest}"), |tag| format!("{name}:{tag}"));
            let draft = match draft {
                Ok(draft) => draft,
                Err(Error::Image { problem, .. }) => {
                    is_whole = false;
                    self.fail(shown, problem)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if draft.root != digest && named.contains(&digest) {
                is_whole = false;
                let problem =
                    "it was selected by its digest, which `--rewrite-index` would change: select its tag";
                self.fail(shown, problem.to_owned())?;
                continue;
            }
            if draft.is_for_other_platform {
                is_whole = false;
                self.size.add([shown.as_str()])?;
                self.planned.other_platforms.push(shown);
                continue;
            }
            self.note_rewrites(&draft, shown, &digest, &selected, &mut rewritten)?;
            let digest = draft.root.clone();
            let attached: Vec<Tag> = match self.options.referrers {
                true => draft
                    .members()
                    .filter_map(|member| selected.fallback.get(&in_tag(member)))
                    .flatten()
                    .cloned()
                    .collect(),
                false => Vec::new(),
            };
            let changed: Vec<Tag> = tags
                .iter()
                .filter(|tag| self.options.have.tag(&name, tag) != Some(&digest))
                .cloned()
                .collect();
            let has_known_tags = changed.len() < tags.len();
            is_whole &= !has_known_tags;
            // A tag is there before its image is whole: where platforms were left out, or data was lost.
            let have = &self.options.have;
            let is_there = |it: &DraftContent| match it.kind {
                ContentKind::Manifest => have.has_manifest(&name, &it.digest, it.size_bytes, &it.root),
                // From any repository it can be mounted.
                ContentKind::Blob => have.blob(&it.digest, it.size_bytes).is_some(),
            };
            let is_whole_there = || draft.contents.iter().all(is_there);
            if has_known_tags && changed.is_empty() && is_whole_there() {
                self.planned.unchanged += 1;
            } else {
                self.commit(&name, &draft)?;
                if !changed.is_empty() {
                    self.offer_docker(&draft);
                }
                // Two indexes may become the same one.
                if let Some(place) = done.get(&digest) {
                    images[*place].tags.extend(changed);
                    continue;
                }
                done.insert(digest.clone(), images.len());
                let image = PlannedImage {
                    digest,
                    tags: changed,
                    media_type: draft.media_type,
                    left_out: draft.left_out,
                    referrers: draft.referrers,
                };
                self.size.add_image(&image)?;
                images.push(image);
            }
            for tag in attached.into_iter().rev() {
                if options.is_excluded(&name, &tag, &mut self.used) || !listed.insert(tag.clone()) {
                    continue;
                }
                match tagged(source, &name, &tag).await {
                    Ok(found) if self.is_excluded(&name, Some(&tag), &found) => {}
                    Ok(found) => match done.get(&found) {
                        Some(place) => images[*place].tags.push(tag),
                        None => queue.push_front(found, tag),
                    },
                    Err(Error::Image { image, problem }) => {
                        is_whole = false;
                        self.fail(image, problem)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        drop(found);
        if images.is_empty() && selected.all > 0 {
            return Ok(());
        }
        // No tag is carried twice, and none that the repository lacks.
        let carried: usize = images.iter().map(|image| image.tags.len()).sum();
        let complete = is_whole && carried == selected.all;
        self.size.add([name.as_str()])?;
        self.planned.plan.repositories.push(PlannedRepository { name, complete, images });
        Ok(())
    }

    /// Adds the rewritten indexes of an image to the plan, and the subjects of their fallback tags to `subjects`.
    fn note_rewrites(
        &mut self,
        draft: &Draft,
        image: String,
        from: &Digest,
        selected: &Selected,
        subjects: &mut HashSet<String>,
    ) -> Result<()> {
        let mut left_out_referrers = draft.left_out_referrers;
        for old in draft.rewrites.rewritten() {
            let subject = in_tag(old);
            // The tag without a suffix is the list of the referrers.
            let tags = selected.fallback.get(&subject).into_iter().flatten();
            let tags = tags.filter(|tag| self.options.referrers && tag.as_str() != subject).count();
            left_out_referrers += tags as u64;
            subjects.insert(subject);
            let new = draft.rewrites.carried(old);
            // Several indexes may become the same one, or one that is there; each is needed to make what refers to it.
            if self.rewritten.insert(old.clone()) {
                self.size.add_digest(old)?;
                self.size.add_digest(&new)?;
                self.planned.plan.rewritten.push(RewrittenIndex { digest: new, from: old.clone() });
            }
        }
        if draft.root != *from {
            let (from, to) = (from.clone(), draft.root.clone());
            self.planned.rewritten.push(RewrittenImage { image, from, to, left_out_referrers });
        }
        Ok(())
    }

    /// Adds the content of an image to the plan.
    fn commit(&mut self, name: &RepositoryName, draft: &Draft) -> Result<()> {
        let plan = &mut self.planned.plan;
        for item in &draft.contents {
            let is_always_carried = item.kind == ContentKind::Manifest || item.is_config;
            let held = self.options.have.blob(&item.digest, item.size_bytes).filter(|_| !is_always_carried);
            match self.index.get(&item.digest) {
                Some(PlannedAs::Carried(place)) => {
                    let carried = &mut plan.contents[*place];
                    if item.kind == ContentKind::Manifest && carried.kind == ContentKind::Blob {
                        carried.kind = ContentKind::Manifest;
                        self.planned.places.insert(item.digest.clone(), name.clone());
                    }
                    continue;
                }
                Some(PlannedAs::Presumed) if !is_always_carried => continue,
                Some(PlannedAs::Presumed) => {}
                None => self.size.add_digest(&item.digest)?,
            }
            if let Some(repositories) = held {
                self.index.insert(item.digest.clone(), PlannedAs::Presumed);
                let repositories = nearest(repositories, name);
                self.size.add(repositories.iter().map(RepositoryName::as_str))?;
                plan.presumed.push(Presumed {
                    digest: item.digest.clone(),
                    size_bytes: item.size_bytes,
                    kind: item.kind,
                    repositories,
                });
                continue;
            }
            self.index.insert(item.digest.clone(), PlannedAs::Carried(plan.contents.len()));
            self.planned.places.insert(item.digest.clone(), name.clone());
            let (digest, size_bytes, kind) = (item.digest.clone(), item.size_bytes, item.kind);
            plan.contents.push(PlannedContent { digest, size_bytes, kind });
        }
        Ok(())
    }

    /// Adds an image with a tag to those of `manifest.json`, unless that has too many to be written. Images may share their
    /// layers, so their lists may be longer than the plan.
    fn offer_docker(&mut self, draft: &Draft) {
        let Some(docker) = draft.docker.as_ref().filter(|_| self.docker_bytes <= MAX_MANIFEST_JSON) else {
            return;
        };
        let parts = || docker.layers.iter().chain([&docker.config]);
        let is_here = |digest: &Digest| matches!(self.index.get(digest), Some(PlannedAs::Carried(_)));
        if parts().all(is_here) && !self.planned.docker.contains_key(&draft.root) {
            self.docker_bytes += parts().map(|digest| digest.hex().len()).sum::<usize>();
            self.planned.docker.insert(draft.root.clone(), docker.clone());
        }
    }

    /// Whether an image is excluded by its digest.
    fn is_excluded(&mut self, name: &RepositoryName, tag: Option<&Tag>, digest: &Digest) -> bool {
        self.options.is_excluded_digest(name, tag, digest, &mut self.used)
    }

    fn fail(&mut self, image: String, problem: String) -> Result<()> {
        match self.options.keep_going {
            true => {
                self.size.add([image.as_str(), &problem])?;
                self.planned.failures.push(PlannedFailure { image, problem });
                Ok(())
            }
            false => Err(Error::Image { image, problem }),
        }
    }
}

/// The digest of a tag; a tag without a readable manifest is a failure of its image.
async fn tagged(source: &dyn Source, name: &RepositoryName, tag: &Tag) -> Result<Digest> {
    let reference = Reference::Tag(tag.clone());
    let missing =
        || Error::Image { image: shown(name, &reference), problem: "its manifest is missing".to_owned() };
    Ok(source.manifest(name, &reference).await?.ok_or_else(missing)?.digest)
}

/// At most [`MAX_PRESUMED_REPOSITORIES`] of these, and first the one that the image goes to.
fn nearest<'a>(
    repositories: impl Iterator<Item = &'a RepositoryName> + Clone,
    name: &RepositoryName,
) -> Vec<RepositoryName> {
    let same = repositories.clone().filter(|it| *it == name).take(1);
    let others = repositories.filter(|it| *it != name);
    same.chain(others).take(MAX_PRESUMED_REPOSITORIES).cloned().collect()
}
