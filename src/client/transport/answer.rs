//! `Answer`: a response whose headers and body are read within bounds.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::Response;
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
}

/// The longest error document to read.
const MAX_ERROR_BYTES: u64 = 64 << 10;

impl Answer {
    pub(super) fn new(url: Url, response: Response, timeouts: Timeouts, limits: Limits) -> Self {
        Self { url, response, timeouts, limits }
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
        let problem = match tokio::time::timeout(self.timeouts.stall, self.response.chunk()).await {
            Ok(Ok(chunk)) => return Ok(chunk),
            Ok(Err(error)) => failure::problem(error),
            Err(_) => Problem::Timeout(self.timeouts.stall),
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

    /// The error document in the body; empty if there is none.
    pub(crate) async fn server_answer(mut self) -> ServerAnswer {
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MAX_ERROR_BYTES {
                return ServerAnswer::default();
            }
        }
        ServerAnswer::parse(&body)
    }

    /// The error of an answer with a status that the caller does not expect.
    pub(crate) async fn into_error(self, now: SystemTime) -> ClientError {
        let url = self.url.clone();
        let status = self.status();
        let retry_after = self.header(RETRY_AFTER).and_then(|text| parse_retry_after(text, now));
        let answer = self.server_answer().await;
        let problem = match status {
            403 => Problem::Denied(answer),
            404 => Problem::NotFound(answer),
            429 => Problem::TooManyRequests { retry_after },
            _ => Problem::Status { status, answer, retry_after },
        };
        ClientError::at(url.as_str(), problem)
    }

    /// An error at this answer's URL.
    pub(crate) fn at(&self, problem: Problem) -> ClientError {
        ClientError::at(self.url.as_str(), problem)
    }
}
