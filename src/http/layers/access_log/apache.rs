//! Apache's combined log format, one line per request, as Distribution writes to standard output.
//!
//! Logs the URI's path only: queries carry upload state and may carry secrets.

use std::fmt::Write as _;

use axum::extract::Request;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderValue, Version};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::super::exchange::ExchangeOutcome;
use super::{shown_url, text};
use crate::http::context::RequestContext;
use crate::http::state::AccessSink;
use crate::serve::PeerAddress;

/// A pending line, created when its request begins.
pub(super) struct ApacheLine {
    sink: AccessSink,
    begun: OffsetDateTime,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

impl ApacheLine {
    pub(super) fn new(sink: AccessSink, request: &Request) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self {
            sink,
            begun: OffsetDateTime::now_utc(),
            version: request.version(),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
        }
    }

    /// Sends the line to its sink.
    pub(super) fn write(&self, context: &RequestContext, outcome: &ExchangeOutcome<'_>) {
        (self.sink)(self.line(context.client(), context.user(), outcome));
    }

    fn line(&self, client: Option<PeerAddress>, user: Option<&str>, outcome: &ExchangeOutcome<'_>) -> String {
        let mut line = String::with_capacity(192);
        match client {
            Some(PeerAddress::Tcp(address)) => _ = write!(line, "{}", address.ip()),
            Some(PeerAddress::Unix) | None => line.push('-'),
        }
        let time = self.begun.format(TIME).unwrap_or_default();
        let user = user.map_or_else(|| "-".to_owned(), |user| user.replace(' ', "+"));
        let _ = write!(
            line,
            " - {} [{time}] \"{} {} {:?}\" {} {} \"{}\" \"{}\"",
            user.escape_debug(),
            outcome.method,
            outcome.uri.path().escape_debug(),
            self.version,
            outcome.status,
            outcome.written,
            quoted(shown_url(self.referer.as_ref()).as_deref()),
            quoted(text(self.user_agent.as_ref())),
        );
        line
    }
}

/// Quotes a header so that a client can end neither the quotes nor the line.
fn quoted(text: Option<&str>) -> String {
    text.map(|text| text.escape_debug().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{Method, Uri};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_line_has_apaches_format_and_a_client_cannot_break_it() {
        let line = ApacheLine {
            sink: Arc::new(|_| {}),
            begun: datetime!(2026-01-02 03:04:05 UTC),
            version: Version::HTTP_11,
            referer: Some(HeaderValue::from_static("https://u:hidden@page.example/a?token=hidden")),
            user_agent: Some(HeaderValue::from_static("curl\" 200 \"x")),
        };
        let client = PeerAddress::Tcp("192.0.2.1:1234".parse().unwrap());
        let outcome = ExchangeOutcome {
            method: &Method::GET,
            uri: &Uri::from_static("/v2/a/manifests/1?secret=x"),
            status: 404,
            code: None,
            written: 57,
            elapsed: Duration::ZERO,
            is_complete: true,
        };
        let line = line.line(Some(client), Some("alice"), &outcome);
        assert_eq!(
            line,
            "192.0.2.1 - alice [02/Jan/2026:03:04:05 +0000] \"GET /v2/a/manifests/1 HTTP/1.1\" 404 57 \"https://page.example/a\" \"curl\\\" 200 \\\"x\""
        );
    }
}
