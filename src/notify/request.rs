//! `RequestSink`: one request, listening to what the engine does for it.

use std::fmt;
use std::sync::Arc;

use sampan_engine::{Event, EventSink};
use serde::Serialize;

use super::notifier::Notifier;

/// The request that an event is due to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RequestRecord {
    /// Its id, as in the log and in `X-Request-Id`.
    pub id: String,
    /// The address of the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// The host that the client called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Its method.
    pub method: String,
    /// The client's program.
    pub useragent: String,
}

/// Adds to an event what is known of its request, and passes it on.
pub struct RequestSink {
    /// Where to.
    pub notifier: Arc<Notifier>,
    /// The request.
    pub request: RequestRecord,
    /// The user, if one is known.
    pub user: Option<String>,
    /// Everything before `/v2/` in the URLs of this registry.
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
