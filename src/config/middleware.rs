//! The section `middleware`; not served.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Secret;

/// What wraps the registry's parts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// Around the registry.
    #[serde(default)]
    pub registry: Vec<Middleware>,
    /// Around repositories.
    #[serde(default)]
    pub repository: Vec<Middleware>,
    /// Around the storage driver.
    #[serde(default)]
    pub storage: Vec<Middleware>,
}

/// An entry of one of the lists.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Middleware {
    /// Which one, such as `cloudfront`.
    pub name: Option<String>,
    /// Whether the entry is to be passed over.
    pub disabled: bool,
    /// Its own settings, keys among them.
    #[serde(default)]
    pub options: BTreeMap<String, Secret<serde_json::Value>>,
}
