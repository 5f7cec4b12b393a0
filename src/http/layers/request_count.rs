//! `RequestCount`: one request in the metrics, from start to end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use http::Method;
use http_body::{Body as _, Frame, SizeHint};

use super::exchange::ExchangeOutcome;
use crate::http::metrics::{Done, HttpMetrics};
use crate::http::route::{Endpoint, Route};

/// A counted request.
pub(super) struct RequestCount {
    metrics: Arc<HttpMetrics>,
    endpoint: Endpoint,
    method: Method,
    repository: Option<String>,
    request_size: u64,
    received: Arc<AtomicU64>,
}

impl RequestCount {
    /// Starts to count an API request and the bytes of its body.
    pub(super) fn begin(
        metrics: &Arc<HttpMetrics>,
        route: Option<&Route>,
        request: Request,
    ) -> (Option<Self>, Request) {
        let Some(route) = route.filter(|route| route.endpoint().is_api()) else { return (None, request) };
        metrics.began(route.endpoint());
        let repository = route.repository().filter(|_| metrics.wants_repositories());
        let count = Self {
            metrics: Arc::clone(metrics),
            endpoint: route.endpoint(),
            method: request.method().clone(),
            repository: repository.map(str::to_owned),
            request_size: size_of(&request),
            received: Arc::default(),
        };
        if request.body().is_end_stream() {
            return (Some(count), request);
        }
        let received = Arc::clone(&count.received);
        (Some(count), request.map(|inner| Body::new(Received { inner, bytes: received })))
    }

    /// Counts the outcome.
    pub(super) fn end(&self, outcome: &ExchangeOutcome<'_>) {
        self.metrics.ended(
            self.endpoint,
            self.repository.as_deref(),
            &Done {
                method: &self.method,
                status: outcome.status,
                seconds: outcome.elapsed.as_secs_f64(),
                request_size: self.request_size,
                received: self.received.load(Ordering::Relaxed),
                sent: outcome.written,
            },
        );
    }
}

/// The size of the request line, the headers (approximately as sent) and the announced body, in bytes.
fn size_of(request: &Request) -> u64 {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let head = request.method().as_str().len() + request.uri().path().len() + headers.sum::<usize>();
    head as u64 + request.body().size_hint().lower()
}

/// A request body that counts its bytes.
struct Received {
    inner: Body,
    bytes: Arc<AtomicU64>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    /// The inner body's error, not boxed again: handlers downcast it.
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &next {
            let len = frame.data_ref().map_or(0, Bytes::len);
            self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        }
        Poll::Ready(next.map(|frame| frame.map_err(axum::Error::into_inner)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
