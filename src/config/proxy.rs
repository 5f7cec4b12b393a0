//! The section `proxy`: a pull-through cache of another registry; not served.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::duration;

/// The registry that is cached.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Its address.
    pub remoteurl: Option<String>,
    /// The account there.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// A docker credential helper that knows the account.
    pub exec: Option<ExecConfig>,
    /// How long content is kept; zero means for ever.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
    /// How long writing to the cache may take.
    #[serde(deserialize_with = "duration")]
    pub cachewritetimeout: Duration,
}

/// `proxy.exec`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExecConfig {
    /// The helper's name.
    pub command: Option<String>,
    /// How long its answer holds.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
}
