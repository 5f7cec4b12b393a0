//! The metrics page, at `http.debug.prometheus.path`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::telemetry::Metrics;

/// The page in Prometheus' text format.
pub(in crate::debug) async fn show(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot serialize the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
