//! Traces: spans of requests, sent to an OpenTelemetry collector by OTLP over HTTP.
//!
//! Off unless a standard variable enables them. When off they cost nothing: the driver is not wrapped, no
//! layer is installed, and a span in the engine costs one comparison. Spans are those of the `tracing` crate
//! with the target [`TARGET`]; only this module depends on OpenTelemetry.

mod collector_client;
mod exporter;
mod settings;

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

pub use settings::ExporterChoice;

use self::exporter::Exporter;

/// The target of all trace spans, and of nothing else.
pub const TARGET: &str = "sampan::traces";

/// How long sending the last spans may take at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The connection to the collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sets up the exporter for the collector in `OTEL_EXPORTER_OTLP_*`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// One of these variables has an invalid value.
    pub fn to_collector() -> Result<Self, String> {
        let exporter = Exporter::new()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(settings::resource())
            .build();
        Ok(Self { provider })
    }

    /// The layer that receives our spans.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let ours = Targets::new().with_target(TARGET, LevelFilter::TRACE);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("sampan"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(ours)
            .boxed()
    }

    /// Sends the remaining spans, for a few seconds at most.
    pub async fn finish(self) {
        let sent = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        if let Ok(Err(error)) = sent.await {
            tracing::warn!(%error, "the last traces were not sent: {error}");
        }
    }
}

/// Makes a span a child of the one in the `traceparent` header, if any.
pub fn continue_from(headers: &HeaderMap, span: &Span) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Fails only if the span is disabled or already started; then there is nothing to do.
    let _ = span.set_parent(parent);
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
