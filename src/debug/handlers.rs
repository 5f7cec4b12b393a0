//! The handlers of the debug listener's pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use sampan_cache::{Caches, Upstream};
use serde_json::{Value, json};

use crate::health::HealthStatus;
use crate::maintenance::{self, Collector, StartRefused, SyncState, Syncer, Verifier, VerifyState};
use crate::telemetry::Metrics;

/// The list of pages.
pub(super) fn index_text(pages: &[&str]) -> String {
    pages.iter().map(|page| format!("{page}\n")).collect()
}

/// `/`: the index.
pub(super) async fn show_index(State(index): State<String>) -> String {
    index
}

/// The 404 for any other path, with the index.
pub(super) async fn not_found(State(index): State<String>) -> Response {
    (StatusCode::NOT_FOUND, format!("no such page; the pages are\n{index}")).into_response()
}

/// The process responds; a supervisor should restart only a process that does not.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200, or 503 and the first reason; 503 also from the start of the shutdown.
pub(super) async fn readyz(State(health): State<HealthStatus>) -> Response {
    match health.unready() {
        None => match health.writes_blocked_by() {
            None => "ok\n".into_response(),
            Some(reason) => format!("ok, but uploads are refused: {reason}\n").into_response(),
        },
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// 200 and `{}`, or 503 and an object of checks and reasons. The object also contains why the store accepts
/// no writes, which does not affect the status.
pub(super) async fn show_health(State(health): State<HealthStatus>) -> Response {
    let status = if health.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health.ailing())).into_response()
}

/// The configuration as YAML, secrets shown as `***`.
pub(super) async fn show_config(State(config): State<String>) -> String {
    config
}

/// The state and the last reports.
pub(super) async fn show_gc(State(collector): State<Arc<Collector>>) -> Json<maintenance::State> {
    Json(collector.state())
}

/// Starts a collection: 202, or the reason why it does not start.
pub(super) async fn start_gc(State(collector): State<Arc<Collector>>) -> Response {
    match collector.request_collection() {
        Ok(()) => (StatusCode::ACCEPTED, Json(collector.state())).into_response(),
        Err(refusal) => {
            let status = match refusal {
                StartRefused::Running | StartRefused::ReadOnly => StatusCode::CONFLICT,
                StartRefused::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": refusal.to_string() }))).into_response()
        }
    }
}

/// The state of the verification, and its last problems.
pub(super) async fn show_verify(State(verifier): State<Arc<Verifier>>) -> Json<VerifyState> {
    Json(verifier.state().await)
}

/// The jobs that copy from other registries: what they do, and did last.
pub(super) async fn show_sync(State(syncer): State<Arc<Syncer>>) -> Json<Vec<SyncState>> {
    Json(syncer.state().await)
}

/// The upstreams, and whether they are asked.
pub(super) async fn show_cache(State(caches): State<Caches>) -> Json<Value> {
    let upstream = |upstream: &Arc<Upstream>| {
        json!({
            "name": upstream.name(),
            "prefix": upstream.prefix().map(|prefix| prefix.as_str()),
            "away": upstream.is_away(),
        })
    };
    let upstreams: Vec<_> = caches.upstreams().iter().map(upstream).collect();
    Json(json!({
        "offline": caches.is_offline(),
        "transfers": caches.fills().running(),
        "upstreams": upstreams,
    }))
}

/// The caches, and the collector that evicts from them.
type OfflineState = (Caches, Arc<Collector>);

/// Asks no upstream from now on.
pub(super) async fn go_offline(State((caches, collector)): State<OfflineState>) -> Json<Value> {
    caches.set_offline(true);
    // Before the answer: the next collection, also by a command, evicts nothing.
    collector.note_offline(true).await;
    tracing::info!("offline: upstreams are not asked until `DELETE /debug/offline`, SIGHUP or a restart");
    show_cache(State(caches)).await
}

/// Asks upstreams again.
pub(super) async fn go_online(State((caches, collector)): State<OfflineState>) -> Json<Value> {
    caches.set_offline(false);
    collector.note_offline(false).await;
    tracing::info!("online: upstreams are asked again");
    show_cache(State(caches)).await
}

/// The page in Prometheus' text format.
pub(super) async fn show_metrics(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot serialize the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
