//! Sets up traces.

use crate::telemetry::traces::{Traces, Wish};

/// The exporter if the environment configures traces, and the error if that configuration is wrong.
pub(super) fn traces_if_enabled() -> (Option<Traces>, Option<String>) {
    match Wish::of(|name| std::env::var(name).ok()) {
        Wish::None => (None, None),
        Wish::Unknown(doubt) => (None, Some(doubt)),
        Wish::Otlp => match Traces::to_collector() {
            Ok(traces) => (Some(traces), None),
            Err(error) => (None, Some(format!("no traces are sent: {error}"))),
        },
    }
}
