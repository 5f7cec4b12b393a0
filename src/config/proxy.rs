//! The section `proxy`: a pull-through cache of another registry; not supported.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::duration;

/// The registry to cache.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Its URL.
    pub remoteurl: Option<String>,
    /// The user name there.
    pub username: Option<String>,
    /// The password there.
    pub password: Option<Secret<String>>,
    /// A docker credential helper that knows the account.
    pub exec: Option<ExecConfig>,
    /// How long content is kept; zero means for ever.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
    /// The timeout for writes to the cache.
    #[serde(deserialize_with = "duration")]
    pub cachewritetimeout: Duration,
}

/// `proxy.exec`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExecConfig {
    /// The helper's name.
    pub command: Option<String>,
    /// How long its answer is valid.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
}
