//! The sections that say what may be pushed and how much is listed: `catalog`, `tags`, `validation`, `policy`.

use serde::{Deserialize, Deserializer};

use super::values::{Pattern, words};

/// How many entries a listing holds where nothing else is said.
const DEFAULT_PAGE: usize = 1000;

/// `catalog`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CatalogConfig {
    /// The most repositories in one answer; at least one.
    #[serde(deserialize_with = "page")]
    pub maxentries: usize,
}

/// `tags`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TagsConfig {
    /// The most tags in one answer; at least one.
    #[serde(deserialize_with = "page")]
    pub maxtags: usize,
}

/// Zero and below mean the default, as for Distribution.
fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = i64::deserialize(deserializer)?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(DEFAULT_PAGE))
}

/// `validation`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Wins over `disabled`; kept for old files.
    pub enabled: bool,
    /// Lifts the checks of URLs and of the children of an index.
    pub disabled: bool,
    /// What manifests may hold.
    pub manifests: ManifestsConfig,
}

impl ValidationConfig {
    /// Whether the checks of URLs and of an index's children are lifted.
    pub fn is_lifted(&self) -> bool {
        self.disabled && !self.enabled
    }
}

/// `validation.manifests`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ManifestsConfig {
    /// The URLs of foreign layers.
    pub urls: UrlsConfig,
    /// The children of an index.
    pub indexes: IndexesConfig,
}

/// `validation.manifests.urls`; with both lists empty, only layers that may not be distributed may name URLs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct UrlsConfig {
    /// A URL must match one of these.
    #[serde(default)]
    pub allow: Vec<Pattern>,
    /// A URL must match none of these.
    #[serde(default)]
    pub deny: Vec<Pattern>,
}

/// `validation.manifests.indexes`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IndexesConfig {
    /// Which children of an index must exist when it is pushed.
    pub platforms: PlatformRule,
    /// The platforms that `list` means.
    #[serde(default)]
    pub platformlist: Vec<PlatformConfig>,
}

words! {
    /// Which children of an index must exist.
    pub enum PlatformRule {
        /// Every one.
        All = "all",
        /// None.
        None = "none",
        /// Those whose platform is listed.
        List = "list",
    }
}

/// An entry of `platformlist`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PlatformConfig {
    /// The processor, such as `amd64`.
    pub architecture: String,
    /// The operating system, such as `linux`.
    pub os: String,
}

/// `policy`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// What repositories may hold.
    pub repository: RepositoryPolicy,
}

/// `policy.repository`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RepositoryPolicy {
    /// The classes that may be pushed, such as `image` and `plugin`; empty means all.
    #[serde(default)]
    pub classes: Vec<String>,
}
