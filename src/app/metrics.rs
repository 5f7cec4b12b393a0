//! What goes on the page of metrics: each room's own, put together.

use std::sync::Arc;

use prometheus::core::Collector;

use super::AppError;
use crate::config::HttpConfig;
use crate::http::HttpMetrics;
use crate::serve::Statistics;
use crate::telemetry::{Metrics, MetricsError, Reading};

/// The page, with what every program has on it; `None` when nobody asked for one.
pub(super) fn wanted(http: &HttpConfig) -> Result<Option<Metrics>, AppError> {
    let asked = http.debug.as_ref().is_some_and(|debug| debug.addr.is_some() && debug.prometheus.enabled);
    if !asked {
        return Ok(None);
    }
    let metrics = Metrics::new();
    metrics.register_process()?;
    Ok(Some(metrics))
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
