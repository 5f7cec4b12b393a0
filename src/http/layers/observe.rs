//! `Observe`: the request's id, and one line in the log when it is done, however it ends.
//!
//! A line tells what Distribution's does, under the same names. Of the URI only the path is logged, of the headers only
//! those that hold no secrets. The cause of a 5xx is logged here once, because here is the id that the client was told.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body::{Body as _, Frame, SizeHint};

use super::around::{Answering, Outcome, Wrap};
use super::combined::{Combined, Ended};
use crate::chain::chain;
use crate::http::client_address::TrustedProxies;
use crate::http::context::RequestContext;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ErrorCode, Trouble};
use crate::http::headers::{DOCKER_CONTENT_DIGEST, X_FORWARDED_FOR, X_REQUEST_ID};
use crate::http::metrics::{Done, HttpMetrics};
use crate::http::prefix::Prefix;
use crate::http::state::{AccessSink, AppState, HttpOptions};
use crate::serve::Peer;

/// What the log says instead of a status when nobody was there to get one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Gives every request its [`RequestContext`], and logs how it ended.
#[derive(Clone)]
pub(in crate::http) struct Observe {
    access_log: bool,
    combined: Option<AccessSink>,
    metrics: Option<Arc<HttpMetrics>>,
    prefix: Prefix,
    trusted_proxies: TrustedProxies,
}

impl Observe {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        let HttpOptions { access_log, combined_log, metrics, prefix, trusted_proxies, .. } = state.options();
        Self {
            access_log: *access_log,
            combined: combined_log.clone(),
            metrics: metrics.clone(),
            prefix: prefix.clone(),
            trusted_proxies: trusted_proxies.clone(),
        }
    }

    fn context(&self, request: &Request) -> RequestContext {
        let peer = request.extensions().get::<Peer>();
        let client = peer.map(|peer| self.trusted_proxies.client(peer.address, request.headers()));
        RequestContext::new(request.headers(), client)
    }

    /// Begins to count a request, if it is one that is counted.
    fn count(&self, request: &Request) -> Option<Counted> {
        let metrics = self.metrics.clone()?;
        let (endpoint, name) = Endpoint::of(self.prefix.strip(request.uri().path())?)?;
        metrics.began(endpoint);
        let repository = name.filter(|_| metrics.wants_repositories()).map(str::to_owned);
        Some(Counted {
            repository,
            metrics,
            endpoint,
            request_size: size_of(request),
            received: Arc::default(),
        })
    }
}

impl Wrap for Observe {
    type Answer<F: Answering> = BoxFuture<'static, Outcome>;

    fn wrap<F: Answering>(&self, mut request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        let context = Arc::new(self.context(&request));
        let mut line = Line::new(&request, Arc::clone(&context), self);
        request.extensions_mut().insert(Arc::clone(&context));
        if let Some(counted) = &line.counted
            && !request.body().is_end_stream()
        {
            let received = Arc::clone(&counted.received);
            request = request.map(|inner| Body::new(Received { inner, bytes: received }));
        }
        let answer = inner(request);
        async move {
            let mut response = answer.await?;
            response.headers_mut().insert(X_REQUEST_ID, context.id_header());
            line.answered(&response);
            Ok(response.map(|inner| Body::new(Observed { inner, line })))
        }
        .boxed()
    }
}

/// A request that is counted.
struct Counted {
    metrics: Arc<HttpMetrics>,
    endpoint: Endpoint,
    repository: Option<String>,
    request_size: u64,
    received: Arc<AtomicU64>,
}

/// The head as it went over the wire, nearly, and the body as it was announced.
fn size_of(request: &Request) -> u64 {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let head = request.method().as_str().len() + request.uri().path().len() + headers.sum::<usize>();
    head as u64 + request.body().size_hint().lower()
}

/// What the line in the log will say; it is written when this is dropped.
struct Line {
    context: Arc<RequestContext>,
    /// What is told of the headers, if the line is wanted.
    told: Option<Told>,
    /// What the combined log tells, if there is one.
    combined: Option<Combined>,
    counted: Option<Counted>,
    method: Method,
    uri: Uri,
    started: Instant,
    /// `None` until there is an answer, and when nobody is there to read it.
    status: Option<u16>,
    code: Option<ErrorCode>,
    written: u64,
    /// How much of the body is still to be sent, as far as that is known.
    expected: Option<u64>,
    is_over: bool,
}

/// Headers that hold no secrets.
struct Told {
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    answered_type: Option<HeaderValue>,
    /// What was stored or deleted.
    digest: Option<HeaderValue>,
}

impl Told {
    fn of(headers: &HeaderMap) -> Self {
        let header = |name: HeaderName| headers.get(name).cloned();
        Self {
            host: header(HOST),
            user_agent: header(USER_AGENT),
            forwarded_for: header(X_FORWARDED_FOR),
            referer: header(REFERER),
            content_type: header(CONTENT_TYPE),
            answered_type: None,
            digest: None,
        }
    }
}

impl Line {
    fn new(request: &Request, context: Arc<RequestContext>, observe: &Observe) -> Self {
        Self {
            context,
            told: observe.access_log.then(|| Told::of(request.headers())),
            combined: observe.combined.clone().map(|sink| Combined::new(sink, request)),
            counted: observe.count(request),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            status: None,
            code: None,
            written: 0,
            expected: None,
            is_over: false,
        }
    }

    fn answered(&mut self, response: &Response) {
        self.status = Some(response.status().as_u16());
        if let Some(told) = &mut self.told {
            told.answered_type = response.headers().get(CONTENT_TYPE).cloned();
            if !self.method.is_safe() {
                told.digest = response.headers().get(DOCKER_CONTENT_DIGEST).cloned();
            }
        }
        self.expected = response.body().size_hint().exact();
        self.is_over = self.method == Method::HEAD || response.body().is_end_stream();
        let Some(trouble) = response.extensions().get::<Trouble>() else { return };
        self.code = Some(trouble.code);
        if trouble.vanished {
            self.status = None;
        }
        if let Some(cause) = &trouble.cause {
            self.log_cause(&**cause, "request failed");
        }
    }

    fn sent(&mut self, bytes: u64) {
        self.written += bytes;
        self.is_over |= self.expected == Some(self.written);
    }

    fn log_cause(&self, cause: &(dyn StdError + 'static), what: &'static str) {
        let error = chain(cause);
        tracing::error!(
            http.request.id = self.context.id(),
            http.request.method = %self.method,
            http.request.uri = self.uri.path(),
            error,
            "{what}: {error}",
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (status, message) = match self.status {
            Some(status) if self.is_over && status >= 400 => (status, "response completed with error"),
            Some(status) if self.is_over => (status, "response completed"),
            _ => (CLIENT_CLOSED_REQUEST, "client went away before the response was complete"),
        };
        if let Some(combined) = &self.combined {
            combined.write(&Ended {
                client: self.context.client(),
                user: self.context.user(),
                method: &self.method,
                path: self.uri.path(),
                status,
                written: self.written,
            });
        }
        if let Some(counted) = &self.counted {
            counted.metrics.ended(
                counted.endpoint,
                counted.repository.as_deref(),
                &Done {
                    method: &self.method,
                    status,
                    seconds: self.started.elapsed().as_secs_f64(),
                    request_size: counted.request_size,
                    received: counted.received.load(Ordering::Relaxed),
                    sent: self.written,
                },
            );
        }
        let Some(told) = &self.told else { return };
        tracing::info!(
            http.request.id = self.context.id(),
            http.request.method = %self.method,
            http.request.uri = self.uri.path(),
            http.request.host = text(told.host.as_ref()).or_else(|| self.uri.host()),
            http.request.remoteaddr = self.context.client().map(tracing::field::display),
            http.request.forwardedfor = text(told.forwarded_for.as_ref()),
            http.request.useragent = text(told.user_agent.as_ref()),
            http.request.referer = text(told.referer.as_ref()),
            http.request.contenttype = text(told.content_type.as_ref()),
            http.response.contenttype = text(told.answered_type.as_ref()),
            http.response.status = status,
            http.response.written = self.written,
            http.response.duration_ms = self.started.elapsed().as_micros() as f64 / 1000.0,
            auth.user.name = self.context.user(),
            vars.digest = text(told.digest.as_ref()),
            err.code = self.code.map(ErrorCode::as_str),
            "{message}"
        );
    }
}

fn text(header: Option<&HeaderValue>) -> Option<&str> {
    header?.to_str().ok()
}

/// The body of a request, counted as it comes.
struct Received {
    inner: Body,
    bytes: Arc<AtomicU64>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    /// The inner body's error as it is, and not one more box around it: somebody looks inside.
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

/// A body that is counted; its end is the end of the request.
struct Observed {
    inner: Body,
    line: Line,
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
                self.line.sent(len as u64);
            }
            Some(Err(error)) => self.line.log_cause(error, "response broken off"),
            None => self.line.is_over = true,
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
