//! The section `notifications`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, duration};

/// The recipients of events, and the content of events.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NotificationsConfig {
    /// The content of an event.
    pub events: EventsConfig,
    /// The recipients.
    #[serde(default)]
    pub endpoints: Vec<EndpointConfig>,
    /// The queue of undelivered events. Not in Distribution.
    pub queue: QueueConfig,
}

/// `notifications.queue`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// The directory of undelivered events.
    pub directory: Option<PathBuf>,
    /// The maximum size of one endpoint's queue.
    pub maxsize: ByteSize,
}

/// `notifications.events`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Whether the event of a manifest lists its references.
    pub includereferences: bool,
}

/// An entry of `notifications.endpoints`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// A name for the log.
    pub name: Option<String>,
    /// Whether to ignore the entry.
    pub disabled: bool,
    /// The URL that receives events.
    pub url: Option<String>,
    /// Headers of the requests; often with a token.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<Secret<String>>>,
    /// The timeout of a request.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// The number of consecutive failures before a pause.
    pub threshold: i64,
    /// The length of the pause.
    #[serde(deserialize_with = "duration")]
    pub backoff: Duration,
    /// Media types that cause no event; the old place of `ignore.mediatypes`.
    #[serde(default)]
    pub ignoredmediatypes: Vec<String>,
    /// The events that are not sent.
    pub ignore: IgnoreConfig,
    /// The key that signs request bodies. Not in Distribution.
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
