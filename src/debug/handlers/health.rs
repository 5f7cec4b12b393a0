//! `/debug/health`: the failing checks, as Distribution tells them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::health::Board;

/// 200 and `{}`, or 503 and an object of check and reason.
pub(in crate::debug) async fn show(State(board): State<Board>) -> Response {
    let failing = board.failing();
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(&*failing)).into_response()
}
