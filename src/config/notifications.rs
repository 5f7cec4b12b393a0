//! The section `notifications`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sampan_shown_url::ShownUrl;

use super::findings::{Findings, is_header, is_http_url};
use super::section::section;
use super::suggest;
use super::values::ByteSize;
use super::{Diagnostic, Node, Secret};

section! {
    /// The recipients of events, and the content of events.
    pub struct NotificationsConfig {
        /// The content of an event.
        pub events: EventsConfig; field("EVENTCONFIG"),
        /// The recipients.
        pub endpoints: Vec<EndpointConfig>,
        /// The queue of undelivered events; Distribution keeps them in memory without a bound.
        pub queue: QueueConfig; ours,
    }
}

section! {
    /// `notifications.events`.
    pub struct EventsConfig {
        /// Whether the event of a manifest has its references.
        pub includereferences: bool = "false",
    }
}

section! {
    /// An entry of `notifications.endpoints`.
    pub struct EndpointConfig {
        /// A name for the log, the metrics and the queue.
        pub name: Option<String>; default_meaning("the URL, without user info and query"),
        /// Ignores the entry.
        pub disabled: bool = "false",
        /// The URL that receives events.
        pub url: Option<String>; default_meaning("required"),
        /// Headers of the requests, a list of values each.
        pub headers: BTreeMap<String, Vec<Secret<String>>>,
        /// How long an answer may take.
        pub timeout: Duration = "1s",
        /// After so many failures in a row …
        pub threshold: i64 = "10",
        /// … the attempts are so far apart, give or take half.
        pub backoff: Duration = "1s",
        /// The same as `ignore.mediatypes`.
        pub ignoredmediatypes: Vec<String>,
        /// The events that are not sent.
        pub ignore: IgnoreConfig,
        /// The key that signs bodies.
        pub secret: Option<Secret<String>>; ours,
    }
}

section! {
    /// `ignore` of an endpoint.
    pub struct IgnoreConfig {
        /// Media types without events.
        pub mediatypes: Vec<String>,
        /// Actions without events: `pull`, `push`, `mount`, `delete`, `damage`.
        pub actions: Vec<String>,
    }
}

/// The actions of events.
const ACTIONS: [&str; 5] = ["pull", "push", "mount", "delete", "damage"];

section! {
    /// `notifications.queue`.
    pub struct QueueConfig {
        /// The directory of undelivered events.
        pub directory: Option<PathBuf>; default_meaning("`notifications` in the filesystem driver's root, else memory"),
        /// How much may wait for one endpoint; then the oldest are dropped.
        pub maxsize: ByteSize = "64MiB",
    }
}

impl NotificationsConfig {
    /// Checks that each endpoint has a valid URL and valid headers.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        let nodes = found.tree.at("notifications.endpoints").map(Node::items).unwrap_or_default();
        let mut warnings = Vec::new();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if endpoint.disabled {
                continue;
            }
            let node = nodes.get(index).unwrap_or(found.tree);
            let mut mistake = |key: &str, message: String| {
                let origin = &node.at(key).unwrap_or(node).origin;
                let path = format!("notifications.endpoints[{index}].{key}");
                found.mistakes.push(Diagnostic::new(origin, path, message));
            };
            let url = endpoint.url.as_deref().unwrap_or_default();
            if !is_http_url(url) {
                let url = ShownUrl::new(url);
                let message = format!(
                    "expected the URL that receives events, such as `https://portal.example.com/events`, found `{url}`"
                );
                mistake("url", message);
            }
            for (key, message) in self.oddities(index, endpoint) {
                let origin = &node.at(key).unwrap_or(node).origin;
                let path = format!("notifications.endpoints[{index}].{key}");
                warnings.push(Diagnostic::new(origin, path, message));
            }
            for (name, values) in &endpoint.headers {
                if !is_header(name, values.iter().map(|value| value.expose().as_str())) {
                    mistake("headers", format!("`{name}` is not a valid HTTP header"));
                }
            }
        }
        found.warnings.extend(warnings);
    }

    /// Values that Distribution accepts, but that are hardly meant.
    fn oddities(&self, index: usize, endpoint: &EndpointConfig) -> Vec<(&'static str, String)> {
        let mut oddities = Vec::new();
        let named = |other: &EndpointConfig| !other.disabled && other.name == endpoint.name;
        if let Some(name) = &endpoint.name
            && self.endpoints[..index].iter().any(named)
        {
            let message = format!(
                "`{name}` is another endpoint's name too, so the queue and the metrics of this one have a number behind it: \
                 choose another name"
            );
            oddities.push(("name", message));
        }
        if endpoint.threshold < 0 {
            oddities.push(("threshold", "is negative and counts as 10".to_owned()));
        }
        for action in endpoint.ignore.actions.iter().filter(|action| !ACTIONS.contains(&action.as_str())) {
            let message = format!("no event has the action `{action}`{}", suggest::hint(action, ACTIONS));
            oddities.push(("ignore.actions", message));
        }
        oddities
    }
}
