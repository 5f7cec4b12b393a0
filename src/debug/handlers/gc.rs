//! `/debug/gc`: the state of garbage collection; `POST` starts a collection.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::maintenance::{self, Collector, Refusal};

/// The state and the last reports.
pub(in crate::debug) async fn show(State(collector): State<Arc<Collector>>) -> Json<maintenance::State> {
    Json(collector.state())
}

/// Starts a collection: 202, or the reason why it does not start.
pub(in crate::debug) async fn start(State(collector): State<Arc<Collector>>) -> Response {
    match collector.request() {
        Ok(()) => (StatusCode::ACCEPTED, Json(collector.state())).into_response(),
        Err(refusal) => {
            let status = match refusal {
                Refusal::Running | Refusal::ReadOnly => StatusCode::CONFLICT,
                Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": refusal.to_string() }))).into_response()
        }
    }
}
