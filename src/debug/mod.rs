//! The debug listener, `http.debug.addr`: for administrators, not for clients.
//!
//! It has no login, so its pages reveal no secret and change nothing in the store that the registry would not
//! change by itself. `app` supplies its parts; it opens no sockets. Absent on purpose: Go's `/debug/vars` and
//! `/debug/pprof`, of which the first reveals Distribution's secrets.

mod guard;
mod handlers;
mod routes;

use std::sync::Arc;

use axum::Router;
use sampan_cache::Caches;

use crate::health::HealthStatus;
use crate::maintenance::{Collector, Syncer, Verifier};
use crate::telemetry::Metrics;

/// The data behind the debug listener.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The health checks.
    pub health: HealthStatus,
    /// The metrics, if enabled.
    pub metrics: Option<MetricsPage>,
    /// The effective configuration as YAML, without secrets.
    pub config: String,
    /// The garbage collector.
    pub collector: Arc<Collector>,
    /// The verification of the store.
    pub verifier: Arc<Verifier>,
    /// The caches of other registries.
    pub caches: Option<Caches>,
    /// The jobs that copy from other registries.
    pub syncer: Option<Arc<Syncer>>,
    /// The host names of this listener, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// The metrics page.
#[derive(Clone, Debug)]
pub struct MetricsPage {
    /// `http.debug.prometheus.path`.
    pub path: String,
    /// The metrics on it.
    pub metrics: Metrics,
}

/// Builds the router of the debug listener.
pub fn router(parts: Parts) -> Router {
    routes::table(parts)
}
