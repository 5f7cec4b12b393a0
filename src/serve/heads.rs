//! How large the head of a request may be. HTTP/2 counts by itself; for HTTP/1, hyper counts the headers, and we the bytes.

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};

/// The most bytes in the head of a request. The largest that clients need are tokens for many repositories, some 10 KiB.
pub(super) const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Said to whoever sends more.
const REFUSED: &str = "The head of the request has more than 64 KiB.\n";

/// Whether the head of an HTTP/1 request is larger than it may be.
pub(super) fn is_too_large(request: &Request<Body>) -> bool {
    let uri = request.uri();
    let line = uri.path().len() + uri.query().map_or(0, str::len);
    let headers =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() > MAX_HEAD_BYTES as usize
}

/// The answer to such a request, the last of its connection.
pub(super) fn refusal() -> Response<Body> {
    let mut response = Response::new(Body::from(REFUSED));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
