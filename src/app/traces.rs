//! Sets up traces.

use crate::telemetry::traces::{ExporterChoice, Traces};

/// The exporter if the environment configures traces, and the error if that configuration is wrong.
pub(super) fn traces_if_enabled() -> (Option<Traces>, Option<String>) {
    match ExporterChoice::of(|name| std::env::var(name).ok()) {
        ExporterChoice::None => (None, None),
        ExporterChoice::Unknown(doubt) => (None, Some(doubt)),
        ExporterChoice::Otlp => match Traces::to_collector() {
            Ok(traces) => (Some(traces), None),
            Err(error) => (None, Some(format!("no traces are sent: {error}"))),
        },
    }
}
