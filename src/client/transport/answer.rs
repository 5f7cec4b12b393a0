//! `Answer`: a response whose headers and body are read within bounds.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::Response;
use tokio::time::Instant;
use url::Url;

use super::failure;
use crate::auth::Challenge;
use crate::error::{ClientError, Problem, ServerAnswer};
use crate::limits::Limits;
use crate::options::Timeouts;
use crate::retry::parse_retry_after;

/// A response, read within the limits of its client.
#[derive(Debug)]
pub(crate) struct Answer {
    url: Url,
    response: Response,
    timeouts: Timeouts,
    limits: Limits,
    /// Whether the request is refused, and there was no account for it.
    is_anonymous: bool,
    /// Whether it is of another server, to which a redirect led.
    is_elsewhere: bool,
    /// The waits for the body since the last whole [`PROGRESS_BYTES`] of it.
    waited: Duration,
    /// The bytes of the body since then.
    moved: u64,
}

/// The progress after which a transfer has all its time again: less lets a server keep it for ever, byte by byte.
pub(crate) const PROGRESS_BYTES: u64 = 1 << 20;

/// The longest error document to read, and the longest time for it.
const MAX_ERROR_BYTES: u64 = 64 << 10;
const ERROR_TIMEOUT: Duration = Duration::from_secs(5);

impl Answer {
    pub(super) fn new(url: Url, response: Response, timeouts: Timeouts, limits: Limits) -> Self {
        Self {
            url,
            response,
            timeouts,
            limits,
            is_anonymous: false,
            is_elsewhere: false,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// Notes whether it is of another server than the one that was asked.
    pub(super) fn with_elsewhere(self, is_elsewhere: bool) -> Self {
        Self { is_elsewhere, ..self }
    }

    /// Notes whether there was an account for the request, for its error.
    pub(crate) fn with_anonymous(self, is_anonymous: bool) -> Self {
        Self { is_anonymous, ..self }
    }

    /// The URL that answered, after redirects.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The text of a header, if it is text within the limit.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let text = self.headers().get(name)?.to_str().ok()?;
        (text.len() <= self.limits.header_bytes).then(|| text.trim())
    }

    /// The texts of all headers with a name.
    ///
    /// # Errors
    ///
    /// One is beyond the limit or is no text: without it the answer would mean something else.
    pub(crate) fn header_texts(&self, name: &HeaderName) -> Result<Vec<&str>, ClientError> {
        let limit = self.limits.header_bytes;
        let values = self.headers().get_all(name).iter().map(|value| match value.to_str() {
            Ok(text) if text.len() <= limit => Ok(text.trim()),
            Ok(_) => {
                Err(self.at(Problem::Protocol(format!("its header `{name}` is longer than {limit} bytes"))))
            }
            Err(_) => Err(self.at(Problem::Protocol(format!("its header `{name}` has bytes outside ASCII")))),
        });
        values.collect()
    }

    /// `Content-Length` as the server sent it, also in the answer to a `HEAD`.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// The challenges of a refusal.
    pub(crate) fn challenges(&self) -> Vec<Challenge> {
        let mut left = self.limits.header_bytes;
        let texts = self.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let texts: Vec<_> = texts
            .take_while(|text| {
                let fits = text.len() <= left;
                left = left.saturating_sub(text.len());
                fits
            })
            .collect();
        Challenge::parse_all(texts)
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Timeouts { stall, per_mebibyte, .. } = self.timeouts;
        let (start, left) = (Instant::now(), per_mebibyte.saturating_sub(self.waited));
        let problem = match tokio::time::timeout(stall.min(left), self.response.chunk()).await {
            Ok(Ok(chunk)) => {
                self.waited += start.elapsed();
                self.moved += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                if self.moved >= PROGRESS_BYTES {
                    (self.waited, self.moved) = (Duration::ZERO, 0);
                }
                return Ok(chunk);
            }
            Ok(Err(error)) => failure::problem(error),
            Err(_) if left < stall => Problem::TooSlow(per_mebibyte),
            Err(_) => Problem::Timeout(stall),
        };
        Err(self.at(problem))
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// It is longer than `limit`, of which `what` names the thing and the unit.
    pub(crate) async fn read(&mut self, limit: u64, what: &'static str) -> Result<Bytes, ClientError> {
        let too_large = Problem::TooLarge { what, limit };
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(self.at(too_large));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(self.at(too_large));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The wait that the server asks for.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        self.header(RETRY_AFTER).and_then(|text| parse_retry_after(text, now))
    }

    /// The error document in the body; empty if there is none, or if it does not come at once: the status says enough.
    pub(crate) async fn server_answer(mut self) -> ServerAnswer {
        let mut body = BytesMut::new();
        if self.content_length().is_some_and(|length| length > MAX_ERROR_BYTES) {
            return ServerAnswer::default();
        }
        let longest = self.timeouts.stall.min(ERROR_TIMEOUT);
        let reading = async {
            while let Ok(Some(chunk)) = self.chunk().await {
                if (body.len() + chunk.len()) as u64 > MAX_ERROR_BYTES {
                    body.clear();
                    break;
                }
                body.extend_from_slice(&chunk);
            }
        };
        // What came until then is no document, unless the server keeps the connection open behind one.
        _ = tokio::time::timeout(longest, reading).await;
        ServerAnswer::parse(&body)
    }

    /// The error of an answer with a status that the caller does not expect.
    pub(crate) async fn into_error(self, now: SystemTime) -> ClientError {
        let url = self.url.clone();
        let status = self.status();
        let retry_after = self.retry_after(now);
        let (is_anonymous, is_elsewhere) = (self.is_anonymous, self.is_elsewhere);
        let answer = self.server_answer().await;
        let problem = match status {
            // A server that knows no account refuses the signature of a URL, such as an expired one.
            403 if !is_elsewhere => Problem::Denied(answer),
            404 => Problem::NotFound(answer),
            429 => Problem::TooManyRequests { retry_after },
            _ => Problem::Status { status, answer, retry_after },
        };
        ClientError::at(url.as_str(), problem).after_answer().anonymous(is_anonymous)
    }

    /// An error at this answer's URL.
    pub(crate) fn at(&self, problem: Problem) -> ClientError {
        ClientError::at(self.url.as_str(), problem).after_answer()
    }
}
