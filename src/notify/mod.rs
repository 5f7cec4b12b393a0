//! Telling others what happens: Distribution's notifications, to the letter, and kept on disk until they are delivered.
//!
//! The engine tells of events; [`RequestSink`] adds who asked for what by which request; [`Notifier`] makes a text of it
//! and puts that into one queue for each endpoint; an endpoint sends what is in its queue, one after the other.
//! Whatever goes wrong here, no push waits for it and none fails.

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
