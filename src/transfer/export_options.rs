//! `ExportOptions`: what an export carries.

use std::collections::HashSet;
use std::time::SystemTime;

use sampan_bundle::IndexScope;
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::Holdings;
use crate::rewrite::IndexPolicy;
use crate::selection::{Platform, Selector};

/// The content of an export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Selects the images; their order is the order of the bundle.
    pub selectors: Vec<Selector>,
    /// Removes images from the selection.
    pub exclude: Vec<Selector>,
    /// The platforms whose images are carried; empty means all.
    pub platforms: Vec<Platform>,
    /// The treatment of an index of which some platforms are left out.
    pub indexes: IndexPolicy,
    /// Whether referrers and fallback tags go along.
    pub referrers: bool,
    /// Only this number of versions of each repository.
    pub latest: Option<usize>,
    /// Only tags that were set then or later.
    pub since: Option<SystemTime>,
    /// The content of the far side.
    pub have: Holdings,
    /// The host under which other tools see the images.
    pub host: String,
    /// The tags that `index.json` lists.
    pub index: IndexScope,
    /// The platform that `manifest.json` lists.
    pub docker_platform: Platform,
    /// The time to record, in the form of RFC 3339.
    pub created: Option<String>,
    /// Whether an image that cannot be exported is left out instead of ending the export.
    pub keep_going: bool,
}

impl ExportOptions {
    /// Everything that `selectors` select, as other tools see it under `host`.
    pub fn of(selectors: Vec<Selector>, host: &str) -> Self {
        Self {
            selectors,
            exclude: Vec::new(),
            platforms: Vec::new(),
            indexes: IndexPolicy::Keep,
            referrers: true,
            latest: None,
            since: None,
            have: Holdings::default(),
            host: host.to_owned(),
            index: IndexScope::Images,
            docker_platform: Platform::linux_amd64(),
            created: None,
            keep_going: false,
        }
    }

    /// Whether a tag is excluded. Adds the places of all selectors that exclude it to `used`.
    pub(crate) fn is_excluded(&self, name: &RepositoryName, tag: &Tag, used: &mut HashSet<usize>) -> bool {
        self.excluding(used, |selector| {
            selector.digest().is_none() && selector.has_repository(name) && selector.has_tag(tag)
        })
    }

    /// Whether the image is excluded by its digest; if a tag is named too, under that tag only. Adds to `used` as
    /// [`is_excluded`](Self::is_excluded).
    pub(crate) fn is_excluded_digest(
        &self,
        name: &RepositoryName,
        tag: Option<&Tag>,
        digest: &Digest,
        used: &mut HashSet<usize>,
    ) -> bool {
        self.excluding(used, |selector| {
            selector.digest() == Some(digest)
                && selector.has_repository(name)
                && (selector.has_no_tag() || tag.is_some_and(|tag| selector.has_tag(tag)))
        })
    }

    fn excluding(&self, used: &mut HashSet<usize>, excludes: impl Fn(&Selector) -> bool) -> bool {
        let excluding = self.exclude.iter().zip(0..).filter(|(selector, _)| excludes(selector));
        let places: Vec<usize> = excluding.map(|(_, place)| place).collect();
        used.extend(&places);
        !places.is_empty()
    }
}
