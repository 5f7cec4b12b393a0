//! `/debug/health`: the failing checks, as Distribution tells them, and why the store takes no writes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::health::HealthStatus;

/// 200 and `{}`, or 503 and an object of check and reason. Why the store takes no writes is in it, too, and
/// leaves the status as it is.
pub(in crate::debug) async fn show(State(board): State<HealthStatus>) -> Response {
    let status = if board.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(board.ailing())).into_response()
}
