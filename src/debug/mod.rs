//! The debug listener, `http.debug.addr`: for those who run the registry, not for those who use it.
//!
//! Nobody has to log in here, so nothing here tells a secret, and nothing changes what is stored in a way that the
//! registry would not do by itself. `app` hands it its parts; it opens no sockets and builds nothing.
//! Absent on purpose: Go's `/debug/vars` and `/debug/pprof`, of which the first tells Distribution's secrets.

mod guard;
mod handlers;
mod routes;

use std::sync::Arc;

use axum::Router;

use crate::collector::Collector;
use crate::health::HealthStatus;
use crate::telemetry::Metrics;

/// What the debug listener shows.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The health checks.
    pub health: HealthStatus,
    /// The metrics, if they are wanted.
    pub metrics: Option<MetricsPage>,
    /// The effective configuration as YAML, without its secrets.
    pub config: String,
    /// The collection of garbage.
    pub collector: Arc<Collector>,
    /// The names that lead to this listener, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// The page of metrics, and where it is.
#[derive(Clone, Debug)]
pub struct MetricsPage {
    /// `http.debug.prometheus.path`.
    pub path: String,
    /// What is on it.
    pub metrics: Metrics,
}

/// Everything on the debug listener, ready to be served.
pub fn router(parts: Parts) -> Router {
    routes::table(parts)
}
