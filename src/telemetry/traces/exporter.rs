//! `Exporter`: OTLP over HTTP, which does not fill the log when the collector is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Sends spans, and says once that it cannot and once that it can again.
#[derive(Debug)]
pub(super) struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    /// How many spans were lost since the collector was last there.
    lost: AtomicU64,
}

impl Exporter {
    /// One for the collector that the environment names.
    pub(super) fn new() -> Result<Self, ExporterBuildError> {
        let protocol = opentelemetry_otlp::Protocol::HttpBinary;
        let inner =
            opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(protocol).build()?;
        Ok(Self { inner, lost: AtomicU64::new(0) })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(lost, "traces are sent again; {lost} spans were lost meanwhile");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "traces cannot be sent, which is not said again until they can: {error}");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
