//! `Removal` and `RemovalPreview`: a deletion that a person considers, and its consequences.

use std::time::SystemTime;

use crate::oci::{Digest, RepositoryName, Tag};
use crate::{FirstItems, RepositoryFigures, Survey};

/// A deletion that is considered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Removal {
    /// These tags, and then the manifests that no other tag reaches.
    Tags(Vec<Tag>),
    /// Every tag, manifest and link of the repository.
    Repository,
}

/// How much of the store a preview reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PreviewExtent {
    /// The repository: what is freed there, whatever other repositories share.
    Repository,
    /// The whole store, as a dry run of a collection does: what is freed there.
    Store {
        /// Whether collections delete the untagged manifests of other repositories.
        delete_untagged: bool,
    },
}

/// The consequences of a deletion.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RemovalPreview {
    /// The tags that go, and the manifests that they point at; `None` where the link is unreadable.
    pub tags: FirstItems<(Tag, Option<Digest>)>,
    /// The given tags that do not exist.
    pub missing: Vec<Tag>,
    /// Other tags of the same manifests, which stay.
    pub other_tags: FirstItems<(Tag, Digest)>,
    /// Manifests that a tag reaches now, and none will reach.
    pub manifests: FirstItems<Digest>,
    /// Those of these manifests that are attached to others, such as signatures.
    pub referrers: FirstItems<Digest>,
    /// The bytes that the next collections free, once the manifests are collected and the grace period is over; see
    /// [`PreviewExtent`].
    pub freed_bytes: u64,
    /// The number of unreadable links and manifests. What they may refer to stays.
    pub unreadable: u64,
}

/// The part of some bytes of a repository that other repositories also link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SharedBytes {
    /// At least this much.
    pub at_least: u64,
    /// At most this much.
    pub at_most: u64,
    /// When the survey was made that says so.
    pub as_of: SystemTime,
}

impl RemovalPreview {
    /// The part of [`freed_bytes`](Self::freed_bytes) in the repository that other repositories link as of the survey, so
    /// that it stays in the store; `None` if the survey does not know the repository.
    pub fn shared_bytes(&self, survey: &Survey, name: &RepositoryName) -> Option<SharedBytes> {
        let RepositoryFigures { bytes, own_bytes, .. } = survey.find(name)?.figures;
        Some(SharedBytes {
            // More than the survey knows was pushed since.
            at_least: self.freed_bytes.min(bytes).saturating_sub(own_bytes),
            at_most: self.freed_bytes.min(bytes.saturating_sub(own_bytes)),
            as_of: survey.as_of(),
        })
    }
}

impl SharedBytes {
    /// Whether the survey leaves no doubt.
    pub fn is_exact(&self) -> bool {
        self.at_least == self.at_most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepositorySurvey;

    #[test]
    fn the_survey_bounds_what_other_repositories_share() {
        let name = "a".parse().unwrap();
        for (freed_bytes, bytes, own_bytes, at_least, at_most) in [
            (0, 100, 40, 0, 0),
            (30, 100, 100, 0, 0),
            (30, 100, 0, 30, 30),
            (30, 100, 40, 0, 30),
            (70, 100, 40, 30, 60),
            (100, 100, 40, 60, 60),
            // Pushed since the survey.
            (150, 100, 40, 60, 60),
        ] {
            let figures = RepositoryFigures { bytes, own_bytes, ..RepositoryFigures::default() };
            let repository = RepositorySurvey { name: Clone::clone(&name), figures };
            let survey = Survey::new(SystemTime::UNIX_EPOCH, vec![repository], bytes, bytes);
            let preview = RemovalPreview { freed_bytes, ..RemovalPreview::default() };
            let shared = preview.shared_bytes(&survey, &name).unwrap();
            assert_eq!((shared.at_least, shared.at_most), (at_least, at_most), "{freed_bytes}");
            assert_eq!(preview.shared_bytes(&survey, &"b".parse().unwrap()), None);
        }
    }
}
