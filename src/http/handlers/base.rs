//! `/` and `/v2/`: is somebody there, and may I come in?

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::http::extract::Authenticated;
use crate::http::headers::JSON;

/// `/`, any method: for probes of load balancers.
pub(in crate::http) async fn alive() -> Response {
    [(CACHE_CONTROL, HeaderValue::from_static("no-cache"))].into_response()
}

/// `GET /v2/`: where clients learn how to log in, and that they are.
pub(in crate::http) async fn check(_: Authenticated) -> Response {
    ([(CONTENT_TYPE, JSON)], "{}").into_response()
}
