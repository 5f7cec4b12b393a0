//! A span per request, from its headers to the end of its response; only when traces are exported.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use http::header::USER_AGENT;
use http_body::{Frame, SizeHint};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::http::headers::X_REQUEST_ID;
use crate::http::route::Route;
use crate::http::state::AppState;
use crate::serve::Peer;

/// The request's span, if tracing is enabled.
pub(in crate::http) fn span(state: &AppState, route: Option<&Route>, request: &Request) -> Option<Span> {
    let continue_from = state.services().trace_parent?;
    let path = request.uri().path();
    let route = route.filter(|route| route.endpoint().is_api());
    let endpoint = route.map_or("other", |route| route.endpoint().as_str());
    let span = tracing::trace_span!(
        target: "sampan::traces",
        "request",
        otel.name = format!("{} {endpoint}", request.method()),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        http.response.status_code = Empty,
        http.route = endpoint,
        url.path = cut(path),
        user_agent.original = text(request.headers(), USER_AGENT).map(cut),
        client.address = request.extensions().get::<Peer>().map(|peer| display(peer.address)),
        registry.repository = route.and_then(Route::repository).map(cut),
        registry.request.id = Empty,
    );
    continue_from(request.headers(), &span);
    Some(span)
}

/// Runs `answer` within the span of its request, which ends with the body of the response.
pub(in crate::http) async fn traced(span: Span, answer: impl Future<Output = Response>) -> Response {
    let response = answer.instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(id) = text(response.headers(), X_REQUEST_ID) {
        span.record("registry.request.id", id);
    }
    response.map(|inner| Body::new(Traced { inner, span }))
}

/// Truncates a client's text: two thousand spans may wait in memory for export.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// A name has at most 255 letters and a tag 128; a longer path is not ours.
const MAX_TEXT_BYTES: usize = 512;

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A body inside the span; its end ends the span.
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
    fn text_from_a_client_is_truncated() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(64 << 10)).len(), MAX_TEXT_BYTES);
        assert_eq!(cut(&"é".repeat(400)), "é".repeat(256));
    }
}
