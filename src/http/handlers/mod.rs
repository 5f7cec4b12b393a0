//! One handler an endpoint: it extracts, makes one call to the engine, and dresses the answer.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use super::error::{ApiError, ErrorCode};

pub(super) mod base;
pub(super) mod blobs;
pub(super) mod catalog;
mod link;
pub(super) mod manifests;
pub(super) mod referrers;
pub(super) mod tags;
pub(super) mod uploads;

/// What a handler answers.
type Reply = Result<Response, ApiError>;

/// The answer to a path that is none of this API's: plain text, so that nobody takes it for an unknown image.
pub(super) fn not_found() -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, plain)], "404 page not found\n").into_response()
}

/// The answer to a method that the endpoint has not.
pub(super) fn method_not_allowed(allow: HeaderValue) -> Response {
    ApiError::new(ErrorCode::Unsupported)
        .with_reason("this endpoint has no such method; see the Allow header")
        .with_header(ALLOW, allow)
        .into_response()
}

/// The answer to `OPTIONS`; it needs no authorization, so that browsers can ask before they have any.
pub(super) fn options(allow: HeaderValue) -> Response {
    (StatusCode::OK, [(ALLOW, allow)]).into_response()
}
