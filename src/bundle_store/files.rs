//! `File`: a link of a repository, from which its path follows.

use sampan_driver::DriverPath;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Tag;

use crate::contents::{ContentIndex, Contents};
use crate::manifests::Manifests;
use crate::repository::Repository;

/// A file in the directory of a repository. The numbers are indexes of its [`Manifests`].
#[derive(Clone, Debug)]
pub(crate) enum File {
    /// Makes a blob visible.
    Layer(ContentIndex),
    /// Makes a blob visible under its canonical digest, where the plan has another one.
    CanonicalLayer(ContentIndex),
    /// Makes a manifest visible that a plan names, before the manifests were read.
    Root(ContentIndex),
    /// Makes a manifest visible under the digest that the plan has.
    Revision(usize),
    /// Makes a manifest visible under its canonical digest, where the plan has another one.
    Canonical(usize),
    /// The entry of a manifest in the index of referrers.
    Referrer(usize),
    /// Says that the index of referrers is complete.
    ReferrersComplete,
    /// The image of a tag.
    TagCurrent(Tag),
    /// The history of a tag, which is its image.
    TagIndex(Tag),
    /// The digest of a tag's push, if that is no canonical one.
    TagDigest(Tag),
}

impl File {
    /// The entry of the layout; `None` if it needs manifests that are not given.
    pub(crate) fn entry(
        &self,
        repository: &Repository,
        contents: &Contents,
        manifests: Option<&Manifests>,
    ) -> Option<Entry> {
        let name = repository.name.clone();
        let known = |index: &usize| manifests.and_then(|manifests| manifests.list.get(*index));
        Some(match self {
            Self::Layer(place) => Entry::LayerLink(name, contents.digest(*place).clone()),
            Self::CanonicalLayer(place) => {
                Entry::LayerLink(name, manifests?.layer_names.get()?.get(place)?.clone())
            }
            Self::Root(place) => Entry::RevisionLink(name, contents.digest(*place).clone()),
            Self::Revision(index) => Entry::RevisionLink(name, contents.digest(known(index)?.place).clone()),
            Self::Canonical(index) => Entry::RevisionLink(name, known(index)?.canonical(contents).clone()),
            Self::Referrer(index) => {
                let known = known(index)?;
                Entry::Referrer(name, known.subject.clone()?, known.canonical(contents).clone())
            }
            Self::ReferrersComplete => Entry::ReferrersComplete(name),
            Self::TagCurrent(tag) => Entry::TagCurrent(name, tag.clone()),
            Self::TagIndex(tag) => {
                let known = manifests?.at(*repository.tags.get(tag)?)?;
                Entry::TagIndex(name, tag.clone(), known.canonical(contents).clone())
            }
            Self::TagDigest(tag) => Entry::TagDigest(name, tag.clone()),
        })
    }

    /// The path; the root of the store if it needs manifests that are not given.
    pub(crate) fn path(
        &self,
        repository: &Repository,
        contents: &Contents,
        manifests: Option<&Manifests>,
    ) -> DriverPath {
        let entry = self.entry(repository, contents, manifests);
        entry.map_or_else(DriverPath::root, |entry| entry.path())
    }
}
