//! The section `health`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, duration};

/// The regular health checks.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// The check of the store.
    pub storagedriver: StorageDriverCheck,
    /// The check of the free space for the store's files.
    pub diskspace: DiskSpaceCheck,
    /// Files whose existence makes the registry unhealthy.
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
    /// Whether to check the store.
    pub enabled: bool,
    /// The interval between checks.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The number of consecutive failures that makes the registry unhealthy.
    pub threshold: i64,
}

/// `health.diskspace`, which Distribution does not have.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DiskSpaceCheck {
    /// Whether a floor is set.
    pub enabled: bool,
    /// With less free space than this, no upload can begin.
    pub floor: ByteSize,
    /// The interval between checks.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
}

/// An entry of `health.file`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FileCheck {
    /// While this file exists, the registry is unhealthy.
    pub file: Option<String>,
    /// The interval between checks.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The number of consecutive sightings that makes the registry unhealthy; without effect in Distribution.
    pub threshold: i64,
}

/// An entry of `health.http`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// The URL to request.
    pub uri: Option<String>,
    /// Headers of the request; often with a token.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<Secret<String>>>,
    /// The status of a healthy server.
    pub statuscode: u16,
    /// The timeout of a request.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// The interval between requests.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The number of consecutive failures that makes the registry unhealthy.
    pub threshold: i64,
}

/// An entry of `health.tcp`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// The address to connect to.
    pub addr: Option<String>,
    /// The timeout of a connection attempt.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// The interval between attempts.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The number of consecutive failures that makes the registry unhealthy.
    pub threshold: i64,
}
