//! What goes on the page of metrics: each room's own, put together.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::Collector;
use sampan_driver_object_store::{RequestCount, request_counts};

use super::AppError;
use crate::collector::{self, Totals};
use crate::config::HttpConfig;
use crate::http::HttpMetrics;
use crate::serve::Statistics;
use crate::telemetry::metrics::Sample;
use crate::telemetry::{Metrics, MetricsError, Reading};

/// The page, with what every program has on it; `None` when nobody asked for one.
pub(super) fn wanted(http: &HttpConfig) -> Result<Option<Metrics>, AppError> {
    let asked = http.debug.as_ref().is_some_and(|debug| debug.addr.is_some() && debug.prometheus.enabled);
    if !asked {
        return Ok(None);
    }
    let metrics = Metrics::new();
    metrics.register_process()?;
    metrics.register(of_object_stores()?)?;
    Ok(Some(metrics))
}

/// What object stores were asked; nothing where there is none.
fn of_object_stores() -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, value: fn(&RequestCount) -> f64| {
        let labels = |count: &RequestCount| [count.kind.as_str(), count.outcome.as_str()];
        Reading::counters(name, help, &["request", "outcome"], move || {
            request_counts().map(|count| Sample::new(labels(&count), value(&count))).collect()
        })
    };
    Ok(vec![
        counter(
            "sampan_object_store_requests_total",
            "Requests to the object store, retries included.",
            |count| count.requests as f64,
        )?,
        counter(
            "sampan_object_store_request_seconds_total",
            "How long these requests took, up to the head of the answer.",
            |count| count.duration.as_secs_f64(),
        )?,
    ])
}

/// The counters of requests, on the page.
pub(super) fn of_requests(metrics: &Metrics) -> Result<Arc<HttpMetrics>, MetricsError> {
    let requests = HttpMetrics::new()?;
    metrics.register(requests.collectors())?;
    Ok(Arc::new(requests))
}

/// What a server knows of its connections.
pub(super) fn of_connections(statistics: &Statistics) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(&Statistics) -> u64| {
        let statistics = statistics.clone();
        Reading::counter(name, help, move || read(&statistics))
    };
    let open = statistics.clone();
    Ok(vec![
        Reading::gauge("sampan_connections_open", "Connections of clients that are open.", move || {
            open.open() as f64
        })?,
        counter("sampan_connections_total", "Connections of clients so far.", Statistics::accepted)?,
        counter(
            "sampan_connections_cut_total",
            "Connections that were ended because the client was too slow.",
            Statistics::cut,
        )?,
        counter(
            "sampan_tls_failed_handshakes_total",
            "TLS handshakes that came to nothing.",
            Statistics::failed_handshakes,
        )?,
    ])
}

/// What came of the collections of garbage.
pub(super) fn of_collections(
    collector: &Arc<collector::Collector>,
) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(Totals) -> u64| {
        let collector = collector.clone();
        Reading::counter(name, help, move || read(collector.totals()))
    };
    let gauge = |name, help, read: fn(Totals) -> Option<f64>| {
        let collector = collector.clone();
        Reading::gauges(name, help, &[], move || {
            read(collector.totals()).map(|value| Sample::new([""; 0], value)).into_iter().collect()
        })
    };
    let runs = collector.clone();
    let running = collector.clone();
    Ok(vec![
        Reading::counters(
            "sampan_gc_runs_total",
            "Collections of garbage, by what came of them.",
            &["outcome"],
            move || {
                let totals = runs.totals();
                vec![
                    Sample::new(["finished"], totals.finished as f64),
                    Sample::new(["stopped"], totals.stopped as f64),
                    Sample::new(["elsewhere"], totals.elsewhere as f64),
                    Sample::new(["failed"], totals.failed as f64),
                ]
            },
        )?,
        Reading::gauge("sampan_gc_running", "Whether this process is collecting.", move || {
            f64::from(u8::from(running.is_running()))
        })?,
        counter("sampan_gc_candidates_total", "Blobs that were found to be garbage.", |totals| {
            totals.candidates
        })?,
        counter("sampan_gc_deleted_blobs_total", "Blobs that were deleted.", |totals| totals.blobs)?,
        counter("sampan_gc_freed_bytes_total", "Bytes that were freed.", |totals| totals.bytes)?,
        gauge(
            "sampan_gc_young_blobs",
            "Blobs that the last collection kept because they were too young.",
            |totals| totals.last_success.map(|_| totals.last_young as f64),
        )?,
        gauge(
            "sampan_gc_last_duration_seconds",
            "How long the last collection that finished took.",
            |totals| totals.last_success.map(|_| totals.last_duration.as_secs_f64()),
        )?,
        gauge("sampan_gc_last_success_timestamp_seconds", "When the last collection finished.", |totals| {
            totals
                .last_success
                .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64())
        })?,
    ])
}
