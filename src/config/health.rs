//! The section `health`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, duration};

/// What is looked at regularly.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// The store.
    pub storagedriver: StorageDriverCheck,
    /// The room for the store's files.
    pub diskspace: DiskSpaceCheck,
    /// Files that must not exist.
    #[serde(default)]
    pub file: Vec<FileCheck>,
    /// Servers that must answer.
    #[serde(default)]
    pub http: Vec<HttpCheck>,
    /// Ports that must be open.
    #[serde(default)]
    pub tcp: Vec<TcpCheck>,
}

/// `health.storagedriver`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StorageDriverCheck {
    /// Whether the store is looked at.
    pub enabled: bool,
    /// How often.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How many failures in a row make it unhealthy.
    pub threshold: i64,
}

/// `health.diskspace`, which Distribution does not have.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DiskSpaceCheck {
    /// Whether there is a floor.
    pub enabled: bool,
    /// With less room than this no upload can be begun.
    pub floor: ByteSize,
    /// How often to look.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
}

/// An entry of `health.file`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FileCheck {
    /// While it exists the registry is unhealthy.
    pub file: Option<String>,
    /// How often to look.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How many times in a row it must be seen; has no effect in Distribution.
    pub threshold: i64,
}

/// An entry of `health.http`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// What to ask for.
    pub uri: Option<String>,
    /// Added to the request; often holds a token.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<Secret<String>>>,
    /// The status that is healthy.
    pub statuscode: u16,
    /// How long an answer may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How often to ask.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How many failures in a row make it unhealthy.
    pub threshold: i64,
}

/// An entry of `health.tcp`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// What to connect to.
    pub addr: Option<String>,
    /// How long that may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How often to try.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How many failures in a row make it unhealthy.
    pub threshold: i64,
}
