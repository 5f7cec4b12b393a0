//! The sections that limit pushes and listings: `catalog`, `tags`, `validation`, `policy`.

use super::findings::Findings;
use super::section::section;
use super::values::{Pattern, words};
use super::{Node, PageSize};

section! {
    /// `catalog`.
    pub struct CatalogConfig {
        /// The most repositories in one answer.
        pub maxentries: PageSize = "1000",
    }
}

section! {
    /// `tags`.
    pub struct TagsConfig {
        /// The most tags in one answer.
        pub maxtags: PageSize = "1000",
    }
}

section! {
    /// `validation`.
    pub struct ValidationConfig {
        /// Old; takes precedence over `disabled`.
        pub enabled: bool = "false",
        /// Lifts the two checks below; the blobs of an image must be there all the same.
        pub disabled: bool = "false",
        /// The rules for manifests.
        pub manifests: ManifestsConfig,
    }
}

section! {
    /// `validation.manifests`.
    pub struct ManifestsConfig {
        /// The URLs of foreign layers.
        pub urls: UrlsConfig,
        /// The children of an index.
        pub indexes: IndexesConfig,
    }
}

section! {
    /// `validation.manifests.urls`.
    pub struct UrlsConfig {
        /// Regular expressions; a layer's URL must match one. With neither list, layers that may not be distributed may have
        /// URLs, and others may not; `deny: ['.*']` refuses all.
        pub allow: Vec<Pattern>,
        /// Regular expressions; a layer's URL must match none.
        pub deny: Vec<Pattern>,
    }
}

section! {
    /// `validation.manifests.indexes`.
    pub struct IndexesConfig {
        /// Which children of an index must be there when it is pushed: `all`, `none` or `list`.
        pub platforms: PlatformRule = "all",
        /// The platforms for `list`.
        pub platformlist: Vec<PlatformConfig>,
    }
}

words! {
    /// The children of an index that must exist.
    pub enum PlatformRule {
        /// Every one.
        All = "all",
        /// None.
        None = "none",
        /// Those with a listed platform.
        List = "list",
    }
}

section! {
    /// An entry of `platformlist`.
    pub struct PlatformConfig {
        /// An entry of the list: the processor, such as `amd64`.
        pub architecture: String,
        /// The operating system, such as `linux`.
        pub os: String,
    }
}

section! {
    /// `policy`.
    pub struct PolicyConfig {
        /// The rules for repositories.
        pub repository: RepositoryPolicy,
    }
}

section! {
    /// `policy.repository`.
    pub struct RepositoryPolicy {
        /// The only classes that clients may push, such as `image` and `plugin`.
        pub classes: Vec<String>,
    }
}

impl TagsConfig {
    /// Refuses a negative number, as Distribution does; there, a negative `maxentries` means the default.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        let text = found.tree.at("tags.maxtags").and_then(Node::as_text);
        if text.is_some_and(|text| text.starts_with('-')) {
            found.mistake("tags.maxtags", "cannot be negative");
        }
    }
}

impl ValidationConfig {
    /// Whether the checks of URLs and of an index's children are off.
    pub fn is_lifted(&self) -> bool {
        self.disabled && !self.enabled
    }

    /// Warns of `disabled` without effect.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        if self.enabled && self.disabled {
            found.warning("validation.disabled", "has no effect, since `validation.enabled` is true");
        }
    }
}
