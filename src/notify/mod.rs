//! Notifications: Distribution's format exactly, kept on disk until delivered.
//!
//! The engine emits events; [`RequestSink`] adds the request and its user; [`Notifier`] serializes them into
//! one queue per endpoint; an endpoint delivers its queue in order. A problem here neither blocks nor fails a
//! push.

mod backlog;
mod endpoint;
mod envelope;
mod notifier;
mod queue;
mod request;
mod write_buffer;

pub use self::endpoint::{EndpointSettings, Ignored};
pub use self::notifier::{Notifier, NotifierSettings, NotifyError};
pub use self::queue::Counts;
pub use self::request::{RequestRecord, RequestSink};
