//! `ImageSummary`: what a list shows of an image.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::cache::{ByKey, Content};
use crate::oci::{Digest, RepositoryName};

/// The summaries that a registry has made, by repository and digest.
pub(crate) type Summaries = ByKey<(RepositoryName, Digest), Arc<ImageSummary>>;

/// The facts of an image, index or artifact for a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageSummary {
    /// The kind.
    pub kind: ImageKind,
    /// The platforms as `os/architecture[/variant]`, each once, in the order of the manifest.
    pub platforms: Vec<String>,
    /// The type of an artifact or chart.
    pub artifact_type: Option<String>,
    /// The length of configuration and layers as stored, so usually compressed, in bytes; for an index those of its children,
    /// each distinct blob once. A lower bound if there are [`gaps`](Self::gaps) among the children.
    pub size_bytes: u64,
    /// The number of layers; for an index that of the distinct layers of its children.
    pub layers: u64,
    /// When the image was created, as its builder says: `org.opencontainers.image.created`, else the configuration. For an
    /// index without that annotation, and likewise for title and version, what its first image says.
    pub created: Option<SystemTime>,
    /// `org.opencontainers.image.title`, else the label of that name or the name of a chart.
    pub title: Option<String>,
    /// `org.opencontainers.image.version`, else the label of that name or the version of a chart.
    pub version: Option<String>,
    /// The parts that the summary lacks.
    pub gaps: Vec<Gap>,
}

/// The kind of an image.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// An image for one platform.
    Image,
    /// An index, mostly of images for several platforms.
    Index,
    /// A Helm chart.
    Chart,
    /// Any other manifest, such as a signature.
    Artifact,
    /// The manifest is damaged, or of a kind that this registry does not know.
    #[default]
    Unknown,
}

/// A part that a summary lacks, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Gap {
    /// The stored manifest does not match its digest.
    ManifestDamaged,
    /// The manifest cannot be read, for this reason.
    ManifestUnreadable(String),
    /// The repository lacks the configuration.
    ConfigMissing,
    /// The stored configuration does not match its digest.
    ConfigDamaged,
    /// The configuration is longer than the 1 MiB that a summary reads; its length in bytes.
    ConfigTooLarge(u64),
    /// The configuration is not that of an image, for this reason.
    ConfigUnreadable(String),
    /// The repository lacks this number of children, or they are damaged.
    ChildrenMissing(u64),
    /// This number of children cannot be read.
    ChildrenUnreadable(u64),
    /// At least this number of children was not read: the index has more than a summary reads.
    ChildrenLeftOut(u64),
    /// This number of platforms is not listed.
    PlatformsLeftOut(u64),
}

impl ImageSummary {
    /// Whether the summary will stay as it is: what is missing or damaged may be pushed again.
    pub fn is_final(&self) -> bool {
        self.gaps.iter().all(|gap| match gap {
            Gap::ManifestDamaged | Gap::ConfigMissing | Gap::ConfigDamaged | Gap::ChildrenMissing(_) => false,
            Gap::ManifestUnreadable(_)
            | Gap::ConfigTooLarge(_)
            | Gap::ConfigUnreadable(_)
            | Gap::ChildrenUnreadable(_)
            | Gap::ChildrenLeftOut(_)
            | Gap::PlatformsLeftOut(_) => true,
        })
    }
}

impl Content for Arc<ImageSummary> {
    fn size_bytes(&self) -> usize {
        let texts = self.platforms.iter().chain(&self.artifact_type).chain(&self.title).chain(&self.version);
        let reasons = self.gaps.iter().map(|gap| match gap {
            Gap::ManifestUnreadable(reason) | Gap::ConfigUnreadable(reason) => reason.len(),
            _ => 0,
        });
        size_of::<ImageSummary>()
            + texts.map(|text| text.len() + size_of::<String>()).sum::<usize>()
            + reasons.map(|len| len + size_of::<Gap>()).sum::<usize>()
    }

    /// A summary owns its texts, so it shares no buffer with what it was made from.
    fn copied(&self) -> Self {
        self.clone()
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Chart => "chart",
            Self::Artifact => "artifact",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManifestDamaged => f.write_str("the manifest is damaged"),
            Self::ManifestUnreadable(reason) => write!(f, "the manifest is unreadable: {reason}"),
            Self::ConfigMissing => f.write_str("the configuration is missing"),
            Self::ConfigDamaged => f.write_str("the configuration is damaged"),
            Self::ConfigTooLarge(bytes) => write!(f, "the configuration has {bytes} bytes, too many to read"),
            Self::ConfigUnreadable(reason) => write!(f, "the configuration is unreadable: {reason}"),
            Self::ChildrenMissing(count) => write!(f, "children missing or damaged: {count}"),
            Self::ChildrenUnreadable(count) => write!(f, "unreadable children: {count}"),
            Self::ChildrenLeftOut(count) => write!(f, "children that were not read: {count} or more"),
            Self::PlatformsLeftOut(count) => write!(f, "platforms that are not listed: {count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_summaries_take_no_more_than_their_share() {
        let text = "x".repeat(256);
        let summary = Arc::new(ImageSummary {
            kind: ImageKind::Index,
            platforms: vec![text.clone(); 64],
            artifact_type: Some(text.clone()),
            size_bytes: 1,
            layers: 1,
            created: None,
            title: Some(text.clone()),
            version: Some(text.clone()),
            gaps: vec![Gap::ConfigUnreadable(text)],
        });
        assert!(summary.size_bytes() > 67 * 256);
        let cache = Summaries::new(1 << 20);
        for number in 0..1000_u32 {
            let name: RepositoryName = "library/alpine".parse().unwrap();
            cache.insert(&(name, Digest::sha256_of(&number.to_be_bytes())), &summary);
            assert!(cache.weight_bytes() <= 1 << 20);
        }
        assert!(cache.weight_bytes() > 1 << 19);
    }

    #[test]
    fn what_can_be_pushed_again_is_not_final() {
        let with = |gaps| ImageSummary {
            kind: ImageKind::Image,
            platforms: Vec::new(),
            artifact_type: None,
            size_bytes: 0,
            layers: 0,
            created: None,
            title: None,
            version: None,
            gaps,
        };
        assert!(with(vec![]).is_final());
        assert!(with(vec![Gap::ConfigTooLarge(1 << 21), Gap::PlatformsLeftOut(3)]).is_final());
        for gap in [Gap::ManifestDamaged, Gap::ConfigMissing, Gap::ConfigDamaged, Gap::ChildrenMissing(1)] {
            assert!(!with(vec![Gap::PlatformsLeftOut(1), gap.clone()]).is_final(), "{gap}");
        }
    }
}
