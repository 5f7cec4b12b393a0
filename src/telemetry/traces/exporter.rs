//! `Exporter`: OTLP over HTTP that does not flood the log when the collector is down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::collector_client::{CollectorClient, LastAnswer};

/// Sends spans; logs once when sending fails and once when it works again.
#[derive(Debug)]
pub(super) struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    /// Spans lost since sending last worked.
    lost: AtomicU64,
    last: LastAnswer,
}

impl Exporter {
    /// Creates an exporter for the collector in the environment.
    pub(super) fn new() -> Result<Self, String> {
        let protocol = opentelemetry_otlp::Protocol::HttpBinary;
        let last = LastAnswer::default();
        let client = CollectorClient::new(last.clone())?;
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(protocol);
        let inner = exporter.with_http_client(client).build().map_err(|error| error.to_string())?;
        Ok(Self { inner, lost: AtomicU64::new(0), last })
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
                    tracing::info!(lost, "sending traces works again; {lost} spans were lost meanwhile");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    let last = self.last.lock().clone();
                    tracing::warn!(
                        %error,
                        "sending traces fails, which is not logged again until it works: {last}"
                    );
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
