//! `Attachments`: the fallback tags that an import of a selection has besides it, as its export would.

use std::collections::{HashMap, HashSet};

use sampan_bundle::{ContentKind, PlannedImage, PlannedRepository};
use sampan_engine::oci::{Digest, Manifest, ManifestKind, Tag};

use crate::fallback::{in_tag, subject_in};
use crate::{PlanReader, Result};

/// Finds what is attached to images of a bundle by fallback tags.
pub(crate) struct Attachments<'a> {
    carried: &'a dyn PlanReader,
    /// Where each manifest is in the bundle.
    manifests: HashMap<&'a Digest, usize>,
    max_manifest_bytes: u64,
}

impl<'a> Attachments<'a> {
    pub(crate) fn new(carried: &'a dyn PlanReader, max_manifest_bytes: u64) -> Self {
        let contents = carried.plan().contents.iter().enumerate();
        let manifests = contents.filter(|(_, content)| content.kind == ContentKind::Manifest);
        let manifests = manifests.map(|(index, content)| (&content.digest, index)).collect();
        Self { carried, manifests, max_manifest_bytes }
    }

    /// Adds the fallback tags whose subjects are in selected images to `tags`: the selected tags of each image of the repository,
    /// `None` for an image that is not selected. What they attach may have attachments too.
    ///
    /// # Errors
    ///
    /// When the bundle cannot be read. An image whose manifests are damaged has none, and fails when it is imported.
    pub(crate) async fn select(
        &self,
        repository: &PlannedRepository,
        tags: &mut [Option<Vec<Tag>>],
    ) -> Result<()> {
        let mut others: HashMap<&str, Vec<(usize, &Tag)>> = HashMap::new();
        for (place, image) in repository.images.iter().enumerate() {
            let selected = tags[place].iter().flatten().collect::<HashSet<&Tag>>();
            for tag in image.tags.iter().filter(|tag| !selected.contains(tag)) {
                if let Some(subject) = subject_in(tag) {
                    others.entry(subject).or_default().push((place, tag));
                }
            }
        }
        let mut pending: Vec<usize> = (0..tags.len()).filter(|place| tags[*place].is_some()).collect();
        while let Some(place) = pending.pop() {
            if others.is_empty() {
                break;
            }
            for member in self.members(&repository.images[place]).await? {
                for (attached, tag) in others.remove(in_tag(&member).as_str()).unwrap_or_default() {
                    if tags[attached].is_none() {
                        pending.push(attached);
                    }
                    tags[attached].get_or_insert_default().push(tag.clone());
                }
            }
        }
        Ok(())
    }

    /// The manifests of an image and of its referrers.
    async fn members(&self, image: &PlannedImage) -> Result<HashSet<Digest>> {
        let referrers = image.referrers.iter().map(|it| (&it.digest, &it.media_type));
        let roots = std::iter::once((&image.digest, &image.media_type)).chain(referrers);
        let mut pending: Vec<(Digest, String)> =
            roots.map(|(digest, media_type)| (digest.clone(), media_type.clone())).collect();
        let mut members = HashSet::new();
        while let Some((digest, media_type)) = pending.pop() {
            let Some(index) = self.manifests.get(&digest) else { continue };
            let is_index = ManifestKind::from_media_type(&media_type).is_some_and(ManifestKind::is_index);
            if !members.insert(digest) || !is_index {
                continue;
            }
            let bytes = match self.carried.read_whole(*index, self.max_manifest_bytes).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_of_image() => continue,
                Err(error) => return Err(error),
            };
            let Ok(manifest) = Manifest::parse(&bytes, None) else { continue };
            let children = manifest.manifests.into_iter();
            pending.extend(children.map(|child| (child.digest, child.media_type)));
        }
        Ok(members)
    }
}
