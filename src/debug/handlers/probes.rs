//! `/livez` and `/readyz`: whether to restart the process, and whether to send it requests.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::health::HealthStatus;

/// The process responds; a supervisor should restart only a process that does not.
pub(in crate::debug) async fn livez() -> &'static str {
    "ok\n"
}

/// 200, or 503 and the first reason; 503 also from the start of the shutdown.
pub(in crate::debug) async fn readyz(State(health): State<HealthStatus>) -> Response {
    match health.unready() {
        None => match health.writes_blocked_by() {
            None => "ok\n".into_response(),
            Some(reason) => format!("ok, but uploads are refused: {reason}\n").into_response(),
        },
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
