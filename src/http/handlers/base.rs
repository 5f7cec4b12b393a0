//! `/v2/`.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::http::extract::Authenticated;
use crate::http::headers::JSON;

/// Where clients learn how to log in, and that they are.
pub(in crate::http) async fn check(_: Authenticated) -> Response {
    ([(CONTENT_TYPE, JSON)], "{}").into_response()
}
