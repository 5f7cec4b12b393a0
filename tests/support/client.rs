//! `Call` and `Answer`: a client's request, and its answer.

use std::fmt;

use axum::body::{Body, Bytes};
use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use sampan::http::Api;
use serde_json::Value;
use tower::ServiceExt;

/// A request under construction.
pub(crate) struct Call {
    api: Api,
    request: Request<Body>,
}

impl Call {
    pub(crate) fn new(api: Api, method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Self { api, request }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    /// A body of known length.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body: Bytes = body.into();
        self.request.headers_mut().insert(CONTENT_LENGTH, body.len().into());
        *self.request.body_mut() = Body::from(body);
        self
    }

    /// A chunked body, without a known length.
    pub(crate) fn chunks<T: Into<Bytes>>(self, chunks: impl IntoIterator<Item = T>) -> Self {
        let chunks: Vec<std::io::Result<Bytes>> = chunks.into_iter().map(|chunk| Ok(chunk.into())).collect();
        self.raw_body(Body::from_stream(stream::iter(chunks)))
    }

    /// A chunked body that breaks off after `bytes`, as from a client whose connection fails.
    pub(crate) fn vanishing_after(self, bytes: &'static [u8]) -> Self {
        let chunks =
            [Ok(Bytes::from_static(bytes)), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
        self.raw_body(Body::from_stream(stream::iter(chunks)))
    }

    pub(crate) fn raw_body(mut self, body: Body) -> Self {
        *self.request.body_mut() = body;
        self
    }

    pub(crate) fn extension<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Self {
        self.request.extensions_mut().insert(extension);
        self
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// Sends the request, reads so many bytes of the answer or all of it, and leaves.
    pub(crate) async fn leave_after(self, bytes: usize) -> (StatusCode, Vec<u8>) {
        let (status, mut body) = self.begin().await;
        let mut read = Vec::new();
        while read.len() < bytes
            && let Some(Ok(frame)) = body.frame().await
        {
            read.extend(frame.into_data().unwrap_or_default());
        }
        (status, read)
    }

    /// Sends the request; the body of the answer is still to be read.
    pub(crate) async fn begin(self) -> (StatusCode, Body) {
        let response = self.api.oneshot(self.request).await.unwrap();
        (response.status(), response.into_body())
    }

    /// The same as [`send`](Self::send); fails if the body of the answer breaks off.
    pub(crate) async fn try_send(self) -> Result<Answer, axum::Error> {
        let response = self.api.oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        answer.assert_sound();
        Ok(answer)
    }
}

/// The answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Checks the rules for every answer.
    fn assert_sound(&self) {
        if self.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
            && !self.body.is_empty()
        {
            assert!(serde_json::from_slice::<Value>(&self.body).is_ok(), "not JSON: {self:?}");
        }
        if self.status.is_server_error() {
            let text = String::from_utf8_lossy(&self.body);
            assert!(!text.contains("/docker/registry"), "a 5xx tells of the inside: {self:?}");
        }
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Fails the test unless this is an error with this status, and with this code in every entry.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.body.ends_with(b"\n"), "{answer:?}");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        assert!(!errors.is_empty());
        for error in errors {
            assert_eq!(error["code"], code, "{answer:?}");
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer:?}");
        }
        answer
    }

    /// The value of a header that must appear once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name} of {self:?}");
        values[0].to_str().unwrap()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The details of the errors in the body.
    pub(crate) fn details(&self) -> Vec<Value> {
        self.json()["errors"].as_array().unwrap().iter().map(|error| error["detail"].clone()).collect()
    }

    /// The path and query of `Location`, with any host.
    #[track_caller]
    pub(crate) fn location_path(&self) -> String {
        let location: http::Uri = self.header("location").parse().unwrap();
        location.path_and_query().unwrap().to_string()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}
