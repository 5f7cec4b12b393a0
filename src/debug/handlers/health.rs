//! `/debug/health`: the failing checks in Distribution's format, and why the store accepts no writes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::health::HealthStatus;

/// 200 and `{}`, or 503 and an object of checks and reasons. The object also contains why the store accepts
/// no writes, which does not affect the status.
pub(in crate::debug) async fn show(State(health): State<HealthStatus>) -> Response {
    let status = if health.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health.ailing())).into_response()
}
