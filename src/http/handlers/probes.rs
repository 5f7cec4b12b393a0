//! `/`, `/livez` and `/readyz`: probes for load balancers and supervisors. They accept any method.
//!
//! `/` and `/livez` succeed while a health check fails: restarting the process does not repair its store.
//! `/readyz` answers whether to send requests here.

use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};

use crate::http::state::AppState;

/// `/`, as in Distribution.
pub(in crate::http) fn root() -> Response {
    [(CACHE_CONTROL, HeaderValue::from_static("no-cache"))].into_response()
}

/// `/livez`: the process responds.
pub(in crate::http) fn livez() -> Response {
    "ok\n".into_response()
}

/// `/readyz`: 200 while the registry accepts requests, else 503.
pub(in crate::http) fn readyz(state: &AppState) -> Response {
    match state.services().health.unready_to_strangers() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
