//! `ErrorCode` and `ApiError`: the errors that clients see.
//!
//! The body carries the specification's text for the code and details that the client may know. The cause
//! goes to the log only; the log line has the request's id.

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

/// The error codes of the OCI distribution-spec, and Docker's codes that clients know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The blob is not in the repository.
    BlobUnknown,
    /// The upload cannot continue with this request.
    BlobUploadInvalid,
    /// The upload does not exist.
    BlobUploadUnknown,
    /// The client is authenticated but not allowed.
    Denied,
    /// The digest is malformed or does not match the content.
    DigestInvalid,
    /// The manifest names a blob that is not in the repository.
    ManifestBlobUnknown,
    /// The manifest is not acceptable.
    ManifestInvalid,
    /// The manifest is not in the repository.
    ManifestUnknown,
    /// The name does not match the grammar.
    NameInvalid,
    /// The repository does not exist.
    NameUnknown,
    /// The page size is not a valid number.
    PaginationNumberInvalid,
    /// The range is not satisfiable, or a chunk does not start at the upload's end.
    RangeInvalid,
    /// The length differs from the announced one, or exceeds a limit.
    SizeInvalid,
    /// The tag does not match the grammar.
    TagInvalid,
    /// The client sent too many requests.
    TooManyRequests,
    /// The client must authenticate.
    Unauthorized,
    /// The registry cannot serve the request at the moment.
    Unavailable,
    /// The request failed; the log has the cause.
    Unknown,
    /// The registry does not support the operation.
    Unsupported,
}

impl ErrorCode {
    /// The code as it appears in the body.
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The code's message for people.
    pub fn message(self) -> &'static str {
        self.entry().1
    }

    /// The code's default status.
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

/// An error response: status, JSON body, headers, and the cause for the log.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: ErrorCode,
    /// The code's message, or a more specific one.
    message: Cow<'static, str>,
    details: Vec<Option<Value>>,
    /// Whether the details are sentences to append to the message.
    explains: bool,
    headers: HeaderMap,
    cause: Option<Cause>,
    client_disconnected: bool,
}

/// The cause of a failed request, for the log.
pub(super) type Cause = Arc<dyn StdError + Send + Sync>;

impl ApiError {
    /// An error with the code's default status and no detail.
    pub fn new(code: ErrorCode) -> Self {
        Self(Box::new(Inner {
            status: code.status(),
            code,
            message: code.message().into(),
            details: vec![None],
            explains: false,
            headers: HeaderMap::new(),
            cause: None,
            client_disconnected: false,
        }))
    }

    /// Sets the detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.0.details = vec![Some(detail.into())];
        self
    }

    /// Sets the reason as detail and appends it to the message: docker, containerd and others print only the
    /// message.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        self.with_each_reason([reason.into()])
    }

    /// Sets the message: one code may cover several faults.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The error for a digest outside the grammar, which is not a mismatch.
    pub(super) fn malformed_digest(error: &InvalidDigest) -> Self {
        Self::new(ErrorCode::DigestInvalid)
            .with_message("provided digest is malformed")
            .with_reason(error.to_string())
    }

    /// The error for a tag outside the grammar.
    pub(super) fn malformed_tag(error: &InvalidTag) -> Self {
        Self::new(ErrorCode::TagInvalid)
            .with_message("manifest tag is malformed")
            .with_reason(error.to_string())
    }

    /// Repeats the error once for each of `reasons`; unchanged when there are none.
    #[must_use]
    pub fn with_each_reason(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        let reasons: Vec<_> = reasons.into_iter().map(|reason| Some(reason.into())).collect();
        if !reasons.is_empty() {
            self.0.details = reasons;
            self.0.explains = true;
        }
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Sets the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// Marks that the client disconnected and will not read the response.
    #[must_use]
    pub(super) fn unread(mut self) -> Self {
        self.0.client_disconnected = true;
        self
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code in the body.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The headers that the error adds to the response.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// The log's data about an error; an extension of the response.
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
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a Value>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner { status, code, message, details, explains, headers, cause, client_disconnected } = *self.0;
        let entries = details.iter().map(|detail| {
            let message: Cow<'_, str> = match detail.as_ref().and_then(Value::as_str).filter(|_| explains) {
                // It says the same at more length.
                Some(reason) if reason.starts_with(&*message) => reason.into(),
                Some(reason) => format!("{}: {reason}", message.trim_end_matches('.')).into(),
                None => Cow::Borrowed(&*message),
            };
            Entry { code: code.as_str(), message, detail: detail.as_ref() }
        });
        let body = Body { errors: entries.collect() };
        // Strings and maps of strings always serialize.
        let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
        bytes.push(b'\n');
        let mut response = (status, bytes).into_response();
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(ErrorContext { code, cause, client_disconnected });
        response
    }
}
