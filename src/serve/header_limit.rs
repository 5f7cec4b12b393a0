//! Validates request headers. Headers that two servers interpret differently can smuggle a request past one
//! of them, so ambiguous headers are refused before any handler runs.
//!
//! hyper refuses malformed headers and invalid lengths. HTTP/2 limits the header bytes itself; for HTTP/1,
//! hyper limits the number of headers and this module the bytes.

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};

/// The most bytes in a request's headers. The largest that clients need are tokens for many repositories,
/// some 10 KiB.
pub(super) const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Why headers are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Objection {
    /// The headers are too large.
    TooLarge,
    /// The request names no host, or several (RFC 9112, 3.2).
    Hosts,
    /// The host contains a user (RFC 9110, 4.2.4); the URLs in our responses would repeat it.
    User,
    /// The body has an unsupported transfer coding (RFC 9112, 6.1).
    Coding,
}

/// Checks a request's headers.
pub(super) fn objection(request: &Request<Body>) -> Option<Objection> {
    if request.uri().authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some(Objection::User);
    }
    if request.version() >= Version::HTTP_2 {
        return None;
    }
    if is_too_large(request) {
        return Some(Objection::TooLarge);
    }
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        return Some(Objection::Hosts);
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_understood = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    (!is_understood).then_some(Objection::Coding)
}

fn is_too_large(request: &Request<Body>) -> bool {
    let uri = request.uri();
    let line = uri.path().len() + uri.query().map_or(0, str::len);
    let headers =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() > MAX_HEAD_BYTES as usize
}

impl Objection {
    /// The error response; in HTTP/1 the last of its connection.
    pub(super) fn refusal(self, version: Version) -> Response<Body> {
        let (status, text) = match self {
            Self::TooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request headers exceed 64 KiB.\n")
            }
            Self::Hosts => {
                (StatusCode::BAD_REQUEST, "An HTTP/1.1 request must have exactly one Host header.\n")
            }
            Self::User => (StatusCode::BAD_REQUEST, "The host must not contain a user.\n"),
            Self::Coding => {
                (StatusCode::NOT_IMPLEMENTED, "The only supported transfer coding is `chunked`.\n")
            }
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
