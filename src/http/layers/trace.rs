//! `Trace`: a span for every request, from its head to the end of its answer. Without a listener it is not there.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use http::HeaderMap;
use http::header::USER_AGENT;
use http_body::{Frame, SizeHint};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::around::{Answering, Outcome, Wrap};
use crate::http::endpoint::Endpoint;
use crate::http::headers::X_REQUEST_ID;
use crate::http::prefix::Prefix;
use crate::http::state::{AppState, TraceParent};
use crate::serve::Peer;

/// Makes spans of requests, if somebody wants them.
#[derive(Clone)]
pub(in crate::http) struct Trace {
    parent: Option<TraceParent>,
    prefix: Prefix,
}

impl Trace {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        let options = state.options();
        Self { parent: options.trace_parent, prefix: options.prefix.clone() }
    }

    fn span(&self, request: &Request, continue_from: TraceParent) -> Span {
        let path = request.uri().path();
        let endpoint = self.prefix.strip(path).and_then(Endpoint::of);
        let route = endpoint.map_or("other", |(endpoint, _)| endpoint.as_str());
        let span = tracing::trace_span!(
            target: "sampan::traces",
            "request",
            otel.name = format!("{} {route}", request.method()),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = %request.method(),
            http.response.status_code = Empty,
            http.route = route,
            url.path = cut(path),
            user_agent.original = text(request.headers(), USER_AGENT).map(cut),
            client.address = request.extensions().get::<Peer>().map(|peer| display(peer.address)),
            registry.repository = endpoint.and_then(|(_, name)| name).map(cut),
            registry.request.id = Empty,
        );
        continue_from(request.headers(), &span);
        span
    }
}

/// The beginning of what a client chose: spans wait in memory for their collector, two thousand of them.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// A name has 255 letters, a tag 128; more is no path of ours.
const LONGEST: usize = 512;

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

impl Wrap for Trace {
    type Answer<F: Answering> = Either<F, BoxFuture<'static, Outcome>>;

    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        let Some(continue_from) = self.parent else { return Either::Left(inner(request)) };
        let span = self.span(&request, continue_from);
        let answer = span.in_scope(|| inner(request));
        let answer = async move {
            let response = answer.instrument(span.clone()).await?;
            span.record("http.response.status_code", response.status().as_u16());
            if response.status().is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
            if let Some(id) = text(response.headers(), X_REQUEST_ID) {
                span.record("registry.request.id", id);
            }
            Ok(response.map(|inner| Body::new(Traced { inner, span })))
        };
        Either::Right(answer.boxed())
    }
}

/// A body that is part of the span; its end is the end of the span.
struct Traced {
    inner: Body,
    span: Span,
}

impl http_body::Body for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let _within = this.span.enter();
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_chose_is_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(64 << 10)).len(), LONGEST);
        assert_eq!(cut(&"é".repeat(400)), "é".repeat(256));
    }
}
