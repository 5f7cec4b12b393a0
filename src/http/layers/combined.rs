//! Apache's combined log format, one line a request, as Distribution writes to standard output.
//!
//! Of the URI only the path is told: queries hold the state of uploads, and may hold secrets.

use std::fmt::Write as _;

use axum::extract::Request;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderValue, Method, Version};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::http::state::AccessSink;
use crate::serve::PeerAddress;

/// A line to be, from the beginning of its request.
pub(super) struct Combined {
    sink: AccessSink,
    begun: OffsetDateTime,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

/// What is known of a request at its end.
pub(super) struct Ended<'a> {
    pub(super) client: Option<PeerAddress>,
    pub(super) user: Option<&'a str>,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) status: u16,
    pub(super) written: u64,
}

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

impl Combined {
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

    pub(super) fn write(&self, ended: &Ended<'_>) {
        (self.sink)(self.line(ended));
    }

    fn line(&self, ended: &Ended<'_>) -> String {
        let mut line = String::with_capacity(192);
        match ended.client {
            Some(PeerAddress::Tcp(address)) => _ = write!(line, "{}", address.ip()),
            Some(PeerAddress::Unix) | None => line.push('-'),
        }
        let time = self.begun.format(TIME).unwrap_or_default();
        let user = ended.user.map_or_else(|| "-".to_owned(), |user| user.replace(' ', "+"));
        let _ = write!(
            line,
            " - {} [{time}] \"{} {} {:?}\" {} {} \"{}\" \"{}\"",
            user.escape_debug(),
            ended.method,
            ended.path.escape_debug(),
            self.version,
            ended.status,
            ended.written,
            quoted(self.referer.as_ref()),
            quoted(self.user_agent.as_ref()),
        );
        line
    }
}

/// What a client says must not end the quotes, or the line.
fn quoted(header: Option<&HeaderValue>) -> String {
    let text = header.and_then(|header| header.to_str().ok());
    text.map(|text| text.escape_debug().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_line_is_that_of_apache_and_nobody_can_break_out_of_it() {
        let combined = Combined {
            sink: Arc::new(|_| {}),
            begun: datetime!(2026-01-02 03:04:05 UTC),
            version: Version::HTTP_11,
            referer: None,
            user_agent: Some(HeaderValue::from_static("curl\" 200 \"x")),
        };
        let line = combined.line(&Ended {
            client: Some(PeerAddress::Tcp("192.0.2.1:1234".parse().unwrap())),
            user: Some("alice"),
            method: &Method::GET,
            path: "/v2/a/manifests/1",
            status: 404,
            written: 57,
        });
        assert_eq!(
            line,
            "192.0.2.1 - alice [02/Jan/2026:03:04:05 +0000] \"GET /v2/a/manifests/1 HTTP/1.1\" 404 57 \"\" \"curl\\\" 200 \\\"x\""
        );
    }
}
