//! The sections that limit pushes and listings: `catalog`, `tags`, `validation`, `policy`.

use serde::{Deserialize, Deserializer};

use super::values::{Pattern, words};

/// The default page size of a listing, in entries.
const DEFAULT_PAGE: usize = 1000;

/// `catalog`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CatalogConfig {
    /// The maximum number of repositories in one answer; at least one.
    #[serde(deserialize_with = "page")]
    pub maxentries: usize,
}

/// `tags`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TagsConfig {
    /// The maximum number of tags in one answer; at least one.
    #[serde(deserialize_with = "page")]
    pub maxtags: usize,
}

/// Zero and negative numbers mean the default, as in Distribution.
fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = i64::deserialize(deserializer)?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(DEFAULT_PAGE))
}

/// `validation`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Takes precedence over `disabled`; kept for old files.
    pub enabled: bool,
    /// Turns off the checks of URLs and of the children of an index.
    pub disabled: bool,
    /// The rules for manifests.
    pub manifests: ManifestsConfig,
}

impl ValidationConfig {
    /// Whether the checks of URLs and of an index's children are off.
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

/// `validation.manifests.urls`. With both lists empty, only non-distributable layers may name URLs.
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
    /// The children of an index that must exist when a client pushes it.
    pub platforms: PlatformRule,
    /// The platforms for `list`.
    #[serde(default)]
    pub platformlist: Vec<PlatformConfig>,
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
    /// The rules for repositories.
    pub repository: RepositoryPolicy,
}

/// `policy.repository`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RepositoryPolicy {
    /// The classes that clients may push, such as `image` and `plugin`; empty means all.
    #[serde(default)]
    pub classes: Vec<String>,
}
