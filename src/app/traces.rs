//! Whether there are traces.

use crate::telemetry::traces::{Traces, Wish};

/// The way to the collector if the environment asks for traces, and what is wrong with how it asks.
pub(super) fn wanted() -> (Option<Traces>, Option<String>) {
    match Wish::of(|name| std::env::var(name).ok()) {
        Wish::None => (None, None),
        Wish::Unknown(doubt) => (None, Some(doubt)),
        Wish::Otlp => match Traces::to_collector() {
            Ok(traces) => (Some(traces), None),
            Err(error) => (None, Some(format!("no traces are sent: {error}"))),
        },
    }
}
