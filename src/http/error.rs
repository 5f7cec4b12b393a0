//! `ErrorCode` and `ApiError`: the errors that clients see.
//!
//! Texts for clients and causes for the log never mix: a body says what the specification has for the code and a detail
//! that the client may know; the cause travels beside the answer to the log, which has the request's id.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sampan_engine::oci::{InvalidDigest, InvalidTag};
use serde::Serialize;
use serde_json::Value;

use super::headers::JSON;

/// The codes of the OCI distribution-spec, and those of Docker's that clients know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The blob is not in the repository.
    BlobUnknown,
    /// The upload cannot be continued like that.
    BlobUploadInvalid,
    /// There is no such upload.
    BlobUploadUnknown,
    /// The client is known, and may not.
    Denied,
    /// The digest is malformed, or is not the content's.
    DigestInvalid,
    /// The manifest names a blob that is not in the repository.
    ManifestBlobUnknown,
    /// The manifest cannot be accepted as it is.
    ManifestInvalid,
    /// The manifest is not in the repository.
    ManifestUnknown,
    /// The name is outside the grammar.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// The size of a page makes no sense.
    PaginationNumberInvalid,
    /// The range cannot be satisfied, or does not follow what is there.
    RangeInvalid,
    /// The length is not the announced one, or is too much.
    SizeInvalid,
    /// The tag is outside the grammar.
    TagInvalid,
    /// The client has tried too often.
    TooManyRequests,
    /// The client should say who it is.
    Unauthorized,
    /// It cannot be done at the moment.
    Unavailable,
    /// It failed, and the log says why.
    Unknown,
    /// It is not done here.
    Unsupported,
}

impl ErrorCode {
    /// The code as clients read it.
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// What it means, in a sentence for people.
    pub fn message(self) -> &'static str {
        self.entry().1
    }

    /// The status that it usually comes with.
    pub fn status(self) -> StatusCode {
        self.entry().2
    }

    fn entry(self) -> (&'static str, &'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", "blob unknown to registry", S::NOT_FOUND),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "blob upload invalid", S::BAD_REQUEST),
            Self::BlobUploadUnknown => {
                ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", S::NOT_FOUND)
            }
            Self::Denied => ("DENIED", "requested access to the resource is denied", S::FORBIDDEN),
            Self::DigestInvalid => {
                ("DIGEST_INVALID", "provided digest did not match uploaded content", S::BAD_REQUEST)
            }
            Self::ManifestBlobUnknown => {
                ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", S::BAD_REQUEST)
            }
            Self::ManifestInvalid => ("MANIFEST_INVALID", "manifest invalid", S::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown", S::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", "invalid repository name", S::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry", S::NOT_FOUND),
            Self::PaginationNumberInvalid => {
                ("PAGINATION_NUMBER_INVALID", "invalid number of results requested", S::BAD_REQUEST)
            }
            Self::RangeInvalid => ("RANGE_INVALID", "invalid content range", S::RANGE_NOT_SATISFIABLE),
            Self::SizeInvalid => {
                ("SIZE_INVALID", "provided length did not match content length", S::BAD_REQUEST)
            }
            Self::TagInvalid => ("TAG_INVALID", "manifest tag did not match URI", S::BAD_REQUEST),
            Self::TooManyRequests => ("TOOMANYREQUESTS", "too many requests", S::TOO_MANY_REQUESTS),
            Self::Unauthorized => ("UNAUTHORIZED", "authentication required", S::UNAUTHORIZED),
            Self::Unavailable => ("UNAVAILABLE", "service unavailable", S::SERVICE_UNAVAILABLE),
            Self::Unknown => ("UNKNOWN", "unknown error", S::INTERNAL_SERVER_ERROR),
            Self::Unsupported => ("UNSUPPORTED", "The operation is unsupported.", S::METHOD_NOT_ALLOWED),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answer that says no: status, JSON body, headers, and the cause for the log.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: ErrorCode,
    /// The code's own, unless it does not fit.
    message: &'static str,
    details: Vec<Option<Value>>,
    /// Whether the details are sentences that belong into the message too.
    explains: bool,
    headers: HeaderMap,
    cause: Option<Cause>,
    client_disconnected: bool,
}

/// What made a request fail, for the log.
pub(super) type Cause = Arc<dyn StdError + Send + Sync>;

impl ApiError {
    /// An error with the code's own status and nothing else to say.
    pub fn new(code: ErrorCode) -> Self {
        Self(Box::new(Inner {
            status: code.status(),
            code,
            message: code.message(),
            details: vec![None],
            explains: false,
            headers: HeaderMap::new(),
            cause: None,
            client_disconnected: false,
        }))
    }

    /// The same error, saying more to the client.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.0.details = vec![Some(detail.into())];
        self
    }

    /// The same error with the reason as its detail and in its message: docker, containerd and others print the message alone.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        self.with_each_reason([reason.into()])
    }

    /// The same error with another message: one code may stand for several faults.
    #[must_use]
    pub fn with_message(mut self, message: &'static str) -> Self {
        self.0.message = message;
        self
    }

    /// A digest outside the grammar, which is not a mismatch.
    pub(super) fn malformed_digest(error: &InvalidDigest) -> Self {
        Self::new(ErrorCode::DigestInvalid)
            .with_message("provided digest is malformed")
            .with_reason(error.to_string())
    }

    /// A tag outside the grammar.
    pub(super) fn malformed_tag(error: &InvalidTag) -> Self {
        Self::new(ErrorCode::TagInvalid)
            .with_message("manifest tag is malformed")
            .with_reason(error.to_string())
    }

    /// The same error once for each of `reasons`; as it is when there are none.
    #[must_use]
    pub fn with_each_reason(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        let reasons: Vec<_> = reasons.into_iter().map(|reason| Some(reason.into())).collect();
        if !reasons.is_empty() {
            self.0.details = reasons;
            self.0.explains = true;
        }
        self
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// The same error with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The same error, with what the log should say about it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The same error, noting that the client has gone and will not read it.
    #[must_use]
    pub(super) fn unread(mut self) -> Self {
        self.0.client_disconnected = true;
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code in the body.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The headers that it adds to the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// What the log is to know about an error; an extension of the answer.
#[derive(Clone, Debug)]
pub(super) struct ErrorContext {
    pub(super) code: ErrorCode,
    pub(super) cause: Option<Cause>,
    pub(super) client_disconnected: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    errors: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a Value>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner { status, code, message, details, explains, headers, cause, client_disconnected } = *self.0;
        let entries = details.iter().map(|detail| {
            let message: Cow<'static, str> =
                match detail.as_ref().and_then(Value::as_str).filter(|_| explains) {
                    Some(reason) => format!("{}: {reason}", message.trim_end_matches('.')).into(),
                    None => message.into(),
                };
            Entry { code: code.as_str(), message, detail: detail.as_ref() }
        });
        let body = Body { errors: entries.collect() };
        // Strings and maps of strings always serialise.
        let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
        bytes.push(b'\n');
        let mut response = (status, bytes).into_response();
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(ErrorContext { code, cause, client_disconnected });
        response
    }
}
