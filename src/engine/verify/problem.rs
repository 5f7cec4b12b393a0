//! `Problem`: something that is wrong in the store, and who needs it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, RepositoryName, Tag};

/// Something that is wrong in the store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Problem {
    /// The file that is wrong or missing.
    pub path: String,
    /// The kind of problem.
    #[serde(flatten)]
    pub kind: ProblemKind,
    /// The digest of the content that is wrong or missing, if it is content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The images that cannot be pulled for that reason.
    pub needed_by: Vec<Need>,
    /// The repair of the problem, or why there was none.
    pub outcome: RepairOutcome,
}

/// The kinds of problems.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum ProblemKind {
    /// The data hash to something else.
    Damaged {
        /// The actual digest.
        actual: Digest,
        /// Their length in bytes.
        size_bytes: u64,
    },
    /// The data are not there, and a link or a manifest needs them.
    Missing,
    /// The data, a link or a directory cannot be read.
    Unreadable {
        /// What the store says.
        error: String,
    },
    /// A manifest needs the blob, whose data are there, but the repository has no link to it.
    LinkMissing,
    /// A link does not say what its path says.
    LinkDamaged {
        /// The beginning of its content.
        content: String,
    },
    /// A tag points at a manifest that the repository does not have.
    TagDangling {
        /// The manifest.
        target: Digest,
    },
    /// The file of a tag names no manifest.
    TagDamaged {
        /// The beginning of its content.
        content: String,
    },
}

/// An image that needs some content.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Need {
    /// Its repository.
    pub repository: String,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Tags that lead to it, directly or through an index; not more than twenty.
    pub tags: Vec<String>,
}

/// The most tags of a [`Need`].
pub(super) const MAX_TAGS: usize = 20;

/// The repair of a problem, or why there was none.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairOutcome {
    /// It was reported, no more.
    Reported,
    /// A link was written.
    Linked,
    /// The content was written again, from this place.
    Healed(String),
    /// The data were moved to this path, so that a push brings them again.
    MovedAside(String),
    /// A repair was wanted, but did not happen, for this reason.
    Left(String),
}

impl Problem {
    pub(super) fn new(path: &sampan_driver::DriverPath, kind: ProblemKind, digest: Option<Digest>) -> Self {
        Self { path: path.to_string(), kind, digest, needed_by: Vec::new(), outcome: RepairOutcome::Reported }
    }

    /// Whether the content is as it should be now.
    pub fn is_mended(&self) -> bool {
        matches!(self.outcome, RepairOutcome::Linked | RepairOutcome::Healed(_))
    }
}

impl ProblemKind {
    /// Whether something is absent, which a cache of another registry fetches.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Missing | Self::LinkMissing | Self::TagDangling { .. })
    }

    /// Whether content is wrong or missing, and not a link or tag of one repository.
    pub(super) fn is_of_content(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing | Self::Unreadable { .. })
    }
}

impl Need {
    pub(super) fn new(repository: &RepositoryName, manifest: Digest, tags: Vec<Tag>) -> Self {
        let tags = tags.iter().take(MAX_TAGS).map(ToString::to_string).collect();
        Self { repository: repository.to_string(), manifest, tags }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { actual, size_bytes } => {
                write!(f, "is damaged: its {size_bytes} bytes hash to {actual}")
            }
            Self::Missing => f.write_str("is missing"),
            Self::Unreadable { error } => write!(f, "cannot be read: {error}"),
            Self::LinkMissing => f.write_str("is stored, but its repository has no link to it"),
            Self::LinkDamaged { content } => write!(f, "is a damaged link: it contains {content:?}"),
            Self::TagDangling { target } => {
                write!(f, "points at {target}, which its repository does not have")
            }
            Self::TagDamaged { content } => write!(f, "names no manifest: it contains {content:?}"),
        }
    }
}

impl fmt::Display for RepairOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => f.write_str("reported"),
            Self::Linked => f.write_str("repaired: the link was written"),
            Self::Healed(from) => write!(f, "healed from {from}"),
            Self::MovedAside(path) => write!(f, "moved to {path}; a push of an image that has it heals it"),
            Self::Left(reason) => write!(f, "left as it is: {reason}"),
        }
    }
}
