//! `/v2/`.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::http::extract::Authenticated;
use crate::http::headers::JSON;

/// Answers 200 to an authenticated client; clients use it to find out how to log in.
pub(in crate::http) async fn check(_: Authenticated) -> Response {
    ([(CONTENT_TYPE, JSON)], "{}").into_response()
}
