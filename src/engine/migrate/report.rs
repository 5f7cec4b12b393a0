//! `Pass` and `Comparison`: the reports of a migration.

use sampan_driver::DriverPath;

use crate::FirstItems;
use crate::oci::{Digest, RepositoryName, Tag};

/// The report of one pass over both stores.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pass {
    /// The files that it copied, or would copy.
    pub copied: Amounts,
    /// Content of the source that is damaged or cannot be read. It is not copied.
    pub damaged: FirstItems<Damaged>,
    /// Configurations, layers and manifests that images of the source need, and that are missing there.
    pub missing: FirstItems<Digest>,
    /// Configurations and layers that images of the source need, and whose data are there, but whose links are missing.
    pub unlinked: FirstItems<Unlinked>,
    /// The images that damaged or missing content, or a missing link, breaks. They are not copied.
    pub broken: FirstItems<Broken>,
    /// Links and other small files of the source that cannot be understood. They are not copied.
    pub unreadable: FirstItems<DriverPath>,
    /// Links and tags of the source that lead nowhere there. They are not copied.
    pub dangling: FirstItems<DriverPath>,
    /// In a backup, how many of these are tags, which are damage; a cache may have some.
    pub lost_tags: u64,
    /// Files of the source that belong to no registry. They are not copied.
    pub foreign: FirstItems<DriverPath>,
    /// Places of the source that cannot be seen.
    pub unseen: FirstItems<Unseen>,
    /// In a restore, tags that were pushed while it ran. They stay as they were pushed.
    pub pushed: FirstItems<TagThere>,
}

/// Numbers of files, by kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amounts {
    /// Tags.
    pub tags: u64,
    /// Entries of the history of tags.
    pub history: u64,
    /// Links to manifests.
    pub revisions: u64,
    /// Links to layers.
    pub layer_links: u64,
    /// Data of blobs and manifests.
    pub blobs: u64,
    /// The length of these data in bytes.
    pub bytes: u64,
    /// Access tokens, records of removed tags, dates, and the index of referrers.
    pub others: u64,
}

/// Content that its digest does not match, or that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damaged {
    /// The digest.
    pub digest: Digest,
    /// The damage.
    pub reason: String,
}

/// Content without a link in its repository.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Unlinked {
    /// The repository.
    pub repository: RepositoryName,
    /// The digest.
    pub digest: Digest,
}

/// An image that needs damaged or missing content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// Its repository.
    pub repository: RepositoryName,
    /// Its manifest.
    pub manifest: Digest,
    /// A tag that points at it.
    pub tag: Option<Tag>,
    /// The damaged or missing content.
    pub because: Digest,
}

/// A tag of the target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagThere {
    /// Its repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The manifest that it points, or pointed, at.
    pub digest: Digest,
}

/// A place that cannot be seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unseen {
    /// The place.
    pub path: DriverPath,
    /// Why.
    pub reason: String,
}

/// The content of both stores, and the differences.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// The content of the source, without links and tags that lead nowhere.
    pub source: StoreCounts,
    /// The content of the target.
    pub target: StoreCounts,
    /// The files that differ, by name.
    pub differences: FirstItems<Difference>,
    /// Files that only the target has and keeps, since the source has lost them. The loss is confirmed, so they are no difference.
    pub kept: FirstItems<DriverPath>,
}

/// Numbers of the content of a store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreCounts {
    /// Repositories with a tag, a manifest or a layer.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Links to manifests.
    pub revisions: u64,
    /// Links to layers.
    pub layer_links: u64,
    /// Data of blobs and manifests.
    pub blobs: u64,
    /// The length of these data in bytes.
    pub bytes: u64,
}

/// A file in which both stores differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The file.
    pub path: DriverPath,
    /// How it differs.
    pub how: DifferenceKind,
}

/// How a file differs between source and target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DifferenceKind {
    /// The target lacks it.
    Missing,
    /// Only the target has it.
    Extra,
    /// Only the target has it, and links of both stores need it: the source has lost it.
    Lost,
    /// Only the target has it, and the source has no file of its kind any more: it has no access tokens at all.
    Vanished,
    /// It is a tag of both stores whose manifest neither has.
    LeadsNowhere,
    /// Its content differs.
    Other,
}

impl Pass {
    /// Whether everything that the source holds could be read and copied.
    pub fn is_whole(&self) -> bool {
        let Self { damaged, missing, unlinked, broken, unreadable, lost_tags, unseen, pushed, .. } = self;
        let of_content = damaged.count + missing.count + unlinked.count + broken.count;
        of_content + unreadable.count + lost_tags + unseen.count + pushed.count == 0
    }
}

impl std::fmt::Display for TagThere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({})", self.repository, self.tag, self.digest)
    }
}

impl Amounts {
    /// The number of all files.
    pub fn files(&self) -> u64 {
        self.tags + self.history + self.revisions + self.layer_links + self.blobs + self.others
    }
}

impl Comparison {
    /// Whether both stores hold the same.
    pub fn is_equal(&self) -> bool {
        self.differences.count == 0
    }

    /// Whether the source has lost content that the target has, as far as that is named.
    pub fn has_lost(&self) -> bool {
        self.has(DifferenceKind::Lost)
    }

    /// Whether a file differs so, as far as that is named.
    pub fn has(&self, how: DifferenceKind) -> bool {
        self.differences.items.iter().any(|difference| difference.how == how)
    }

    pub(super) fn add(&mut self, path: DriverPath, how: DifferenceKind) {
        self.differences.push(Difference { path, how });
    }

    /// Adds a file that only the target has, and that the source has lost.
    pub(super) fn add_lost(&mut self, path: DriverPath, is_confirmed: bool) {
        match is_confirmed {
            true => self.kept.push(path),
            false => self.add(path, DifferenceKind::Lost),
        }
    }
}
