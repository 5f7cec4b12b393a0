//! What an import checks before it writes anything: the selection, the names, the presumed content, the tags.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{Plan, PlannedImage, PlannedRepository};
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::{Error, ImportOptions, Result, Selector, TagChange, TagPolicy, Target};

/// An image of the bundle, and its repository in the target.
pub(crate) struct SelectedImage<'a> {
    pub(crate) planned: &'a PlannedImage,
    pub(crate) target: RepositoryName,
    pub(crate) tags: Vec<Tag>,
}

impl SelectedImage<'_> {
    pub(crate) fn shown(&self) -> String {
        match self.tags.first() {
            Some(tag) => format!("{}:{tag}", self.target),
            None => format!("{}@{}", self.target, self.planned.digest),
        }
    }
}

/// The images of a bundle that are imported.
pub(crate) fn select<'a>(plan: &'a Plan, options: &ImportOptions) -> Result<Vec<SelectedImage<'a>>> {
    let mut selected = Vec::new();
    let mut matched = vec![false; options.only.len()];
    for (repository, image) in plan.images() {
        let tags = match options.only.is_empty() {
            true => Some(image.tags.clone()),
            false => only(repository, image, &options.only, &mut matched),
        };
        let Some(tags) = tags else { continue };
        let target = options.renames.apply(&repository.name)?;
        selected.push(SelectedImage { planned: image, target, tags });
    }
    if let Some(place) = matched.iter().position(|matched| !matched) {
        return Err(Error::NoMatch(options.only[place].to_string()));
    }
    let mut taken: HashMap<(&RepositoryName, &Tag), &Digest> = HashMap::new();
    for image in &selected {
        for tag in &image.tags {
            let other = taken.insert((&image.target, tag), &image.planned.digest);
            if other.is_some_and(|other| *other != image.planned.digest) {
                let image = format!("{}:{tag}", image.target);
                return Err(Error::Image {
                    image,
                    problem: "two images of the bundle would have this name".to_owned(),
                });
            }
        }
    }
    Ok(selected)
}

/// The selected tags of an image; `None` if the image is not selected.
fn only(
    repository: &PlannedRepository,
    image: &PlannedImage,
    only: &[Selector],
    matched: &mut [bool],
) -> Option<Vec<Tag>> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut is_selected = false;
    for (selector, matched) in only.iter().zip(matched) {
        if !selector.has_repository(&repository.name) {
            continue;
        }
        let by_tag = image.tags.iter().filter(|tag| selector.has_tag(tag));
        let mut new: Vec<Tag> = by_tag.filter(|tag| !tags.contains(tag)).cloned().collect();
        let is_named = selector.digest() == Some(&image.digest);
        if !new.is_empty() || is_named || image.tags.is_empty() && selector.has_any_tag() {
            (*matched, is_selected) = (true, true);
        }
        tags.append(&mut new);
    }
    is_selected.then_some(tags)
}

/// The presumed content by its digest, once it was found.
pub(crate) async fn check_presumed<T: Target>(
    plan: &Plan,
    target: &T,
) -> Result<HashMap<Digest, (u64, Vec<RepositoryName>)>> {
    let found = stream::iter(&plan.presumed).map(|presumed| async move {
        Ok::<_, Error>((!target.has_presumed(presumed).await?).then(|| presumed.digest.clone()))
    });
    let found: Vec<Option<Digest>> = found.buffered(16).try_collect().await?;
    let missing: Vec<Digest> = found.into_iter().flatten().collect();
    match missing.is_empty() {
        true => Ok(plan
            .presumed
            .iter()
            .map(|it| (it.digest.clone(), (it.size_bytes, it.repositories.clone())))
            .collect()),
        false => Err(Error::PresumedMissing(missing)),
    }
}

/// The tags that are there with another digest.
pub(crate) async fn tag_changes<T: Target>(
    target: &T,
    selected: &[SelectedImage<'_>],
    options: &ImportOptions,
) -> Result<Vec<TagChange>> {
    let mut changes = Vec::new();
    for image in selected {
        for tag in &image.tags {
            let Some(present) = target.tag(&image.target, tag).await? else { continue };
            if present == image.planned.digest {
                continue;
            }
            if options.tags == TagPolicy::Fail {
                let (repository, tag) = (image.target.clone(), tag.to_string());
                return Err(Error::TagTaken { repository, tag, present });
            }
            changes.push(TagChange {
                tag: format!("{}:{tag}", image.target),
                to: image.planned.digest.clone(),
                from: present,
                kept: options.tags == TagPolicy::Keep,
            });
        }
    }
    Ok(changes)
}
