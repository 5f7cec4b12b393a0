//! `RequestSink`: receives the events that one request causes.

use std::fmt;
use std::sync::Arc;

use sampan_engine::{Event, EventSink};
use serde::Serialize;

use super::notifier::Notifier;

/// The request that caused an event; empty if none did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RequestRecord {
    /// The request's id, as in the log and in `X-Request-Id`.
    pub id: String,
    /// The client's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// The host that the client requested.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The method.
    pub method: String,
    /// The `User-Agent`.
    pub useragent: String,
}

/// Adds the request's data to events and passes them on.
pub struct RequestSink {
    /// The notifier.
    pub notifier: Arc<Notifier>,
    /// The request.
    pub request: RequestRecord,
    /// The user, if authenticated.
    pub user: Option<String>,
    /// The part of this registry's URLs before `/v2/`.
    pub base: String,
}

impl EventSink for RequestSink {
    fn emit(&self, event: Event) {
        self.notifier.emit(&event, self);
    }
}

impl fmt::Debug for RequestSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSink").field("request", &self.request).finish_non_exhaustive()
    }
}
