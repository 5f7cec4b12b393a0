//! The checks of an import before it writes anything: the selection, the names, the tags.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{PlannedImage, PlannedRepository};
use sampan_engine::oci::{Digest, ManifestKind, RepositoryName, Tag};

use crate::attachments::Attachments;
use crate::{Error, ImportOptions, PlanReader, Result, Selector, TagChange, TagPolicy, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// An image of the bundle, and its repository in the target.
pub(crate) struct SelectedImage<'a> {
    pub(crate) planned: &'a PlannedImage,
    /// The repository in the bundle.
    pub(crate) repository: &'a RepositoryName,
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
pub(crate) async fn select<'a>(
    carried: &'a dyn PlanReader,
    options: &ImportOptions,
) -> Result<Vec<SelectedImage<'a>>> {
    let mut selected = Vec::new();
    let mut matched = vec![false; options.only.len()];
    let attachments = Attachments::new(carried, options.max_manifest_bytes);
    for repository in &carried.plan().repositories {
        let mut tags: Vec<Option<Vec<Tag>>> = match options.only.is_empty() {
            true => repository.images.iter().map(|image| Some(image.tags.clone())).collect(),
            false => {
                let images = repository.images.iter();
                images.map(|image| only(repository, image, &options.only, &mut matched)).collect()
            }
        };
        if tags.iter().all(Option::is_none) {
            continue;
        }
        attachments.select(repository, &mut tags).await?;
        let target = options.renames.apply(&repository.name)?;
        for (planned, tags) in repository.images.iter().zip(tags) {
            let Some(tags) = tags else { continue };
            selected.push(SelectedImage {
                planned,
                repository: &repository.name,
                target: target.clone(),
                tags,
            });
        }
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
    let mut has_tag = vec![false; image.tags.len()];
    let mut is_selected = false;
    for (selector, matched) in only.iter().zip(matched) {
        if !selector.has_repository(&repository.name) {
            continue;
        }
        let is_named = selector.digest() == Some(&image.digest);
        let mut is_here = is_named || image.tags.is_empty() && selector.names_repositories();
        for (tag, has_tag) in image.tags.iter().zip(&mut has_tag) {
            if selector.has_tag(tag) {
                (*has_tag, is_here) = (true, true);
            }
        }
        *matched |= is_here;
        is_selected |= is_here;
    }
    let tags = image.tags.iter().zip(has_tag).filter(|(_, has_tag)| *has_tag);
    is_selected.then(|| tags.map(|(tag, _)| tag.clone()).collect())
}

/// The tags that are there with another digest.
pub(crate) async fn tag_changes(
    target: &dyn Target,
    selected: &[SelectedImage<'_>],
    options: &ImportOptions,
) -> Result<Vec<TagChange>> {
    let tags = selected.iter().flat_map(|image| image.tags.iter().map(move |tag| (image, tag)));
    let present = stream::iter(tags).map(|(image, tag)| async move {
        Ok::<_, Error>((image, tag, target.tag(&image.target, tag).await?))
    });
    let mut present = present.buffered(CONCURRENT_CHECKS);
    let mut changes = Vec::new();
    while let Some((image, tag, present)) = present.try_next().await? {
        let Some(present) = present.filter(|present| *present != image.planned.digest) else { continue };
        let kind = ManifestKind::from_media_type(&image.planned.media_type);
        if target.merges(tag) && kind.is_some_and(ManifestKind::is_index) {
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
    Ok(changes)
}
