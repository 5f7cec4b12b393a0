//! `Exchange`: a request and its response, until the last byte is sent, the client disconnects, or a panic
//! ends it.
//!
//! Writes the outcome to metrics and logs, once. Logs the cause of a 5xx too, because the exchange knows the
//! request id that the client got.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{Method, Uri};
use http_body::{Body as _, Frame, SizeHint};

use super::access_log::AccessLine;
use super::request_count::RequestCount;
use crate::http::context::RequestContext;
use crate::http::error::{ErrorCode, ErrorContext};
use crate::http::headers::X_REQUEST_ID;
use crate::http::state::AppState;
use sampan_driver::with_causes;

/// The status in logs and metrics of a request whose client disconnected, as in nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request in progress. Dropping it writes its outcome.
pub(in crate::http) struct Exchange {
    context: Arc<RequestContext>,
    line: AccessLine,
    count: Option<RequestCount>,
    method: Method,
    uri: Uri,
    started: Instant,
    /// `None` until there is a response; stays so when the client disconnects before.
    status: Option<u16>,
    code: Option<ErrorCode>,
    written: u64,
    /// The body's expected size in bytes, if known.
    expected: Option<u64>,
    is_complete: bool,
}

/// The outcome of a request.
pub(super) struct ExchangeOutcome<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) status: u16,
    pub(super) code: Option<ErrorCode>,
    /// Bytes of the body that were sent.
    pub(super) written: u64,
    pub(super) elapsed: Duration,
    /// Whether the client got the whole response.
    pub(super) is_complete: bool,
}

impl Exchange {
    /// Starts to observe a request, and counts its body if metrics are enabled.
    pub(in crate::http) fn begin(
        state: &AppState,
        context: Arc<RequestContext>,
        request: Request,
    ) -> (Self, Request) {
        let line = AccessLine::begin(state, &request);
        let (count, request) = match &state.services().metrics {
            Some(metrics) => RequestCount::begin(metrics, context.route(), request),
            None => (None, request),
        };
        let exchange = Self {
            context,
            line,
            count,
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            status: None,
            code: None,
            written: 0,
            expected: None,
            is_complete: false,
        };
        (exchange, request)
    }

    /// The response with the request's id and an observed body.
    pub(in crate::http) fn answered(mut self, mut response: Response) -> Response {
        response.headers_mut().insert(X_REQUEST_ID, self.context.id_header());
        self.status = Some(response.status().as_u16());
        self.line.answered(&self.method, &response);
        self.expected = response.body().size_hint().exact();
        self.is_complete = self.method == Method::HEAD || response.body().is_end_stream();
        if let Some(context) = response.extensions().get::<ErrorContext>() {
            self.code = Some(context.code);
            if context.client_disconnected {
                self.status = None;
            }
            if let Some(cause) = &context.cause {
                self.log_cause(&**cause, "request failed");
            }
        }
        response.map(|inner| Body::new(Observed { inner, exchange: self }))
    }

    fn sent(&mut self, bytes: u64) {
        self.written += bytes;
        self.is_complete |= self.expected == Some(self.written);
    }

    fn log_cause(&self, cause: &(dyn StdError + 'static), what: &'static str) {
        let error = with_causes(cause);
        tracing::error!(
            http.request.id = self.context.id(),
            http.request.method = %self.method,
            http.request.uri = self.uri.path(),
            error,
            "{what}: {error}",
        );
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let status = self.status.filter(|_| self.is_complete);
        let outcome = ExchangeOutcome {
            method: &self.method,
            uri: &self.uri,
            status: status.unwrap_or(CLIENT_CLOSED_REQUEST),
            code: self.code,
            written: self.written,
            elapsed: self.started.elapsed(),
            is_complete: status.is_some(),
        };
        if let Some(count) = &self.count {
            count.end(&outcome);
        }
        self.line.end(&self.context, &outcome);
    }
}

/// The response's body; its end ends the exchange.
struct Observed {
    inner: Body,
    exchange: Exchange,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &next {
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                self.exchange.sent(len as u64);
            }
            Some(Err(error)) => self.exchange.log_cause(error, "response aborted"),
            None => self.exchange.is_complete = true,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
