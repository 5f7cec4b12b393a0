//! The section `notifications`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, duration};

/// Whom to tell what happens.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NotificationsConfig {
    /// What an event holds.
    pub events: EventsConfig,
    /// Who is told.
    #[serde(default)]
    pub endpoints: Vec<EndpointConfig>,
    /// Where events wait. Ours.
    pub queue: QueueConfig,
}

/// `notifications.queue`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// The directory in which events wait.
    pub directory: Option<PathBuf>,
    /// How much may wait for one endpoint.
    pub maxsize: ByteSize,
}

/// `notifications.events`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Whether what a manifest refers to is in its event.
    pub includereferences: bool,
}

/// An entry of `notifications.endpoints`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// A name for the log.
    pub name: Option<String>,
    /// Whether the entry is to be passed over.
    pub disabled: bool,
    /// Where events are posted.
    pub url: Option<String>,
    /// Added to the requests; often holds a token.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<Secret<String>>>,
    /// How long an answer may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How many failures in a row make a pause.
    pub threshold: i64,
    /// How long the pause is.
    #[serde(deserialize_with = "duration")]
    pub backoff: Duration,
    /// Media types that are not told, in the old place.
    #[serde(default)]
    pub ignoredmediatypes: Vec<String>,
    /// What is not told.
    pub ignore: IgnoreConfig,
    /// What bodies are signed with. Ours.
    pub secret: Option<Secret<String>>,
}

/// `ignore` of an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IgnoreConfig {
    /// Media types.
    #[serde(default)]
    pub mediatypes: Vec<String>,
    /// Actions, such as `pull`.
    #[serde(default)]
    pub actions: Vec<String>,
}
