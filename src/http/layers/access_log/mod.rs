//! `AccessLine`: one log line per request, written when it ends.
//!
//! A line has the fields of Distribution's, under the same names. It contains the URI's path only, and only
//! headers that hold no secrets.

use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sampan_shown_url::ShownUrl;

use super::exchange::ExchangeOutcome;
use crate::http::context::RequestContext;
use crate::http::error::ErrorCode;
use crate::http::headers::{DOCKER_CONTENT_DIGEST, X_FORWARDED_FOR};
use crate::http::state::AppState;

mod apache;

use apache::ApacheLine;

/// The data of a request that the access logs record besides its outcome.
pub(super) struct AccessLine {
    /// The structured line, if enabled.
    structured: Option<Logged>,
    /// The line in Apache's format, if enabled.
    apache: Option<ApacheLine>,
}

/// Headers that hold no secrets.
struct Logged {
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    answered_type: Option<HeaderValue>,
    /// The digest of the content stored or deleted.
    digest: Option<HeaderValue>,
}

impl AccessLine {
    pub(super) fn begin(state: &AppState, request: &Request) -> Self {
        Self {
            structured: state.options().access_log.then(|| Logged::new(request.headers())),
            apache: state.services().apache_log.clone().map(|sink| ApacheLine::new(sink, request)),
        }
    }

    /// Records what the line says about the response.
    pub(super) fn answered(&mut self, method: &Method, response: &Response) {
        let Some(logged) = &mut self.structured else { return };
        logged.answered_type = response.headers().get(CONTENT_TYPE).cloned();
        if !method.is_safe() {
            logged.digest = response.headers().get(DOCKER_CONTENT_DIGEST).cloned();
        }
    }

    /// Writes the lines.
    pub(super) fn end(&self, context: &RequestContext, outcome: &ExchangeOutcome<'_>) {
        if let Some(apache) = &self.apache {
            apache.write(context, outcome);
        }
        let Some(logged) = &self.structured else { return };
        let message = match outcome.is_complete {
            true if outcome.status >= 400 => "response completed with error",
            true => "response completed",
            false => "client disconnected before the response was complete",
        };
        tracing::info!(
            http.request.id = context.id(),
            http.request.method = %outcome.method,
            http.request.uri = outcome.uri.path(),
            http.request.host = text(logged.host.as_ref()).or_else(|| outcome.uri.host()),
            http.request.remoteaddr = context.client().map(tracing::field::display),
            http.request.forwardedfor = text(logged.forwarded_for.as_ref()),
            http.request.useragent = text(logged.user_agent.as_ref()),
            http.request.referer = shown_url(logged.referer.as_ref()),
            http.request.contenttype = text(logged.content_type.as_ref()),
            http.response.contenttype = text(logged.answered_type.as_ref()),
            http.response.status = outcome.status,
            http.response.written = outcome.written,
            http.response.duration_ms = outcome.elapsed.as_micros() as f64 / 1000.0,
            auth.user.name = context.user(),
            vars.digest = text(logged.digest.as_ref()),
            err.code = outcome.code.map(ErrorCode::as_str),
            "{message}"
        );
    }
}

impl Logged {
    fn new(headers: &HeaderMap) -> Self {
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

/// A URL without user info and query: the page that led here may have had a secret in its own.
fn shown_url(header: Option<&HeaderValue>) -> Option<String> {
    text(header).map(|url| ShownUrl::new(url).to_string())
}

fn text(header: Option<&HeaderValue>) -> Option<&str> {
    header?.to_str().ok()
}
