//! The checks of an import before it writes anything: the selection and the names. `import_tags.rs` has the tags.

use std::collections::HashMap;

use sampan_bundle::{PlannedImage, PlannedRepository};
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::attachments::Attachments;
use crate::{Error, ImportOptions, PlanReader, Result, Selector};

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
