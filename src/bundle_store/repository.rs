//! `Repository`: what plans alone say of a repository.

use std::collections::BTreeMap;

use sampan_driver::DriverPath;
use sampan_engine::layout;
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::contents::{ContentIndex, Contents};
use crate::files::File;

/// A repository of one or several bundles.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) name: RepositoryName,
    /// The beginning of all its paths, by which repositories are sorted.
    pub(crate) prefix: String,
    /// The image of each tag, in the last bundle that has the tag.
    pub(crate) tags: BTreeMap<Tag, ContentIndex>,
    /// The manifests that plans name, in order: images and their referrers.
    pub(crate) roots: Vec<ContentIndex>,
    /// Where plans name it: the bundle, and the index there.
    planned: Vec<(usize, usize)>,
    /// The files that a listing of names or tags needs, in the order of their paths: a tag is there by its current link.
    pub(crate) names: Vec<(DriverPath, File)>,
}

impl Repository {
    /// The repositories of all plans, in the order of their prefixes.
    pub(crate) fn all(contents: &Contents) -> Vec<Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for (bundle, plan) in contents.plans().enumerate() {
            for (index, planned) in plan.repositories.iter().enumerate() {
                if planned.images.is_empty() {
                    continue;
                }
                let prefix = layout::prefix_in_repository(&planned.name);
                let repository = all.entry(prefix.clone()).or_insert_with(|| Self {
                    name: planned.name.clone(),
                    prefix,
                    tags: BTreeMap::new(),
                    roots: Vec::new(),
                    planned: Vec::new(),
                    names: Vec::new(),
                });
                repository.planned.push((bundle, index));
                for image in &planned.images {
                    let attached = image.referrers.iter().map(|referrer| &referrer.digest);
                    repository.roots.extend(attached.filter_map(|digest| contents.find(digest)));
                    // A plan carries the manifests that it names.
                    let Some(place) = contents.find(&image.digest) else { continue };
                    repository.roots.push(place);
                    repository.tags.extend(image.tags.iter().map(|tag| (tag.clone(), place)));
                }
            }
        }
        let mut all: Vec<Self> = all.into_values().collect();
        for repository in &mut all {
            repository.roots.sort_unstable();
            repository.roots.dedup();
            repository.names = repository.sorted_names(contents);
        }
        all
    }

    /// Content that bundles left out on purpose.
    pub(crate) fn left_out<'a>(&self, contents: &'a Contents) -> impl Iterator<Item = &'a Digest> {
        let repositories =
            self.planned.iter().map(|(bundle, index)| &contents.plan(*bundle).repositories[*index]);
        let images = repositories.flat_map(|repository| &repository.images);
        images.flat_map(|image| &image.left_out).map(|left_out| &left_out.digest)
    }

    fn sorted_names(&self, contents: &Contents) -> Vec<(DriverPath, File)> {
        let tags = self.tags.keys().cloned().map(File::TagCurrent);
        // An image has a configuration, so there are layers; which ones is no matter to a listing of names.
        let root = self.roots.first().into_iter().flat_map(|root| [File::Layer(*root), File::Root(*root)]);
        let files = tags.chain(root).chain([File::ReferrersComplete]);
        let mut names: Vec<_> = files.map(|file| (file.path(self, contents, None), file)).collect();
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        names
    }
}
