//! `Workload`: a kind of load on a registry.

use std::fmt;
use std::str::FromStr;

/// A kind of work. An operation may consist of several requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workload {
    /// A large blob by POST and one PUT.
    PushMonolithic,
    /// A large blob by POST, one PATCH without a length, and PUT, as in docker, podman and containerd.
    PushStreamed,
    /// A large blob by POST, several PATCHes, and PUT.
    PushChunked,
    /// A small blob by POST and PUT.
    PushSmall,
    /// A config, five layers and the manifest, with a new tag.
    PushImage,
    /// A large blob.
    PullLarge,
    /// One of many small blobs.
    PullSmall,
    /// A manifest by its tag, then the config and five layers.
    PullImage,
    /// GET of a manifest by tag.
    ManifestGetTag,
    /// GET of a manifest by digest.
    ManifestGetDigest,
    /// HEAD of a manifest by tag.
    ManifestHeadTag,
    /// HEAD of a manifest by digest.
    ManifestHeadDigest,
    /// The list of a repository's five tags.
    TagsList,
    /// The first hundred repositories.
    Catalog,
    /// Of twenty requests, eleven for manifests, five for small blobs, two for tags; and one small push.
    Mixed,
}

impl Workload {
    /// All works, in the order of a run.
    pub const ALL: [Self; 15] = [
        Self::PushMonolithic,
        Self::PushStreamed,
        Self::PushChunked,
        Self::PushSmall,
        Self::PushImage,
        Self::PullLarge,
        Self::PullSmall,
        Self::PullImage,
        Self::ManifestGetTag,
        Self::ManifestGetDigest,
        Self::ManifestHeadTag,
        Self::ManifestHeadDigest,
        Self::TagsList,
        Self::Catalog,
        Self::Mixed,
    ];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::PushMonolithic => "push-monolithic",
            Self::PushStreamed => "push-streamed",
            Self::PushChunked => "push-chunked",
            Self::PushSmall => "push-small",
            Self::PushImage => "push-image",
            Self::PullLarge => "pull-large",
            Self::PullSmall => "pull-small",
            Self::PullImage => "pull-image",
            Self::ManifestGetTag => "manifest-get-tag",
            Self::ManifestGetDigest => "manifest-get-digest",
            Self::ManifestHeadTag => "manifest-head-tag",
            Self::ManifestHeadDigest => "manifest-head-digest",
            Self::TagsList => "tags-list",
            Self::Catalog => "catalog",
            Self::Mixed => "mixed",
        }
    }

    /// Whether it leaves content behind.
    pub(crate) fn pushes(self) -> bool {
        matches!(
            self,
            Self::PushMonolithic
                | Self::PushStreamed
                | Self::PushChunked
                | Self::PushSmall
                | Self::PushImage
                | Self::Mixed
        )
    }

    /// Whether a server of plain files supports it.
    pub(crate) fn suits_files(self) -> bool {
        matches!(self, Self::PullLarge | Self::PullSmall | Self::ManifestGetDigest | Self::ManifestHeadDigest)
    }

    /// Whether it reads content that may come from the disk.
    pub(crate) fn reads_blobs(self) -> bool {
        matches!(self, Self::PullLarge | Self::PullSmall | Self::PullImage)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|work| work.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|work| work.name()).collect();
            format!("there is no work `{text}`; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_is_found_by_its_name() {
        for work in Workload::ALL {
            assert_eq!(work.name().parse(), Ok(work));
        }
        let error = "push".parse::<Workload>().unwrap_err();
        assert!(error.contains("push-streamed"), "{error}");
    }
}
