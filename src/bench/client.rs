//! `Connection`: one HTTP/1.1 connection, without retries and redirects.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::content::Blob;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};

/// How long a server may stay silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of an error's text to show.
const EXCERPT: usize = 300;

/// A keep-alive connection; reopened if the server has closed it between two requests.
pub(crate) struct Connection {
    endpoint: Arc<Endpoint>,
    authorization: Option<HeaderValue>,
    sender: SendRequest<Body>,
    /// How often the server closed it.
    pub(crate) reconnects: u64,
}

/// A request.
pub(crate) struct BenchRequest<'a> {
    method: Method,
    path: &'a str,
    headers: [Option<(HeaderName, HeaderValue)>; 2],
    body: Body,
}

/// An answer whose body was read.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, if requested.
    pub(crate) body: Vec<u8>,
    /// The length of the body.
    pub(crate) len: u64,
}

impl<'a> BenchRequest<'a> {
    /// A request without a body.
    pub(crate) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, headers: [None, None], body: Body::Bytes(Bytes::new()) }
    }

    /// The request in short.
    pub(crate) fn name(&self) -> (Method, &'a str) {
        (self.method.clone(), self.path)
    }

    /// Sets the accepted media types.
    pub(crate) fn accept(mut self, types: &'static str) -> Self {
        self.headers[0] = Some((ACCEPT, HeaderValue::from_static(types)));
        self
    }

    /// Sets the content.
    pub(crate) fn content(mut self, media_type: &'static str, body: Body) -> Self {
        self.headers[0] = Some((CONTENT_TYPE, HeaderValue::from_static(media_type)));
        self.body = body;
        self
    }

    /// Sets the content's range in the whole.
    pub(crate) fn range(mut self, start: u64, end: u64) -> Self {
        self.headers[1] =
            HeaderValue::try_from(format!("{start}-{}", end - 1)).ok().map(|range| (CONTENT_RANGE, range));
        self
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(endpoint: Arc<Endpoint>, authorization: Option<HeaderValue>) -> Result<Self> {
        let sender = connect(&endpoint).await?;
        Ok(Self { endpoint, authorization, sender, reconnects: 0 })
    }

    /// The server.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and reads the whole answer; discards a body of success.
    pub(crate) async fn ask(&mut self, ask: BenchRequest<'_>) -> Result<Answer> {
        self.exchange(ask, |_| ()).await
    }

    /// Sends a request and keeps the body.
    pub(crate) async fn ask_for_content(&mut self, ask: BenchRequest<'_>) -> Result<Answer> {
        let mut body = Vec::new();
        let mut answer = self.exchange(ask, |piece| body.extend_from_slice(piece)).await?;
        if !body.is_empty() {
            answer.body = body;
        }
        Ok(answer)
    }

    /// Sends a request and passes every piece of a successful answer to `see`.
    pub(crate) async fn exchange(
        &mut self,
        ask: BenchRequest<'_>,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Answer> {
        let (method, path) = (ask.method.clone(), ask.path);
        let name = || format!("{method} {}{path}", self.endpoint.host);
        let broken = |source| Error::Http { request: name(), source };
        if self.sender.ready().await.is_err() {
            self.sender = connect(&self.endpoint).await?;
            self.reconnects += 1;
        }
        let response = timeout(SILENCE_TIMEOUT, self.sender.send_request(self.request(ask)?));
        let response = response.await.map_err(|_| Error::Silence(name()))?.map_err(broken)?;
        let (head, mut incoming) = Response::into_parts(response);
        let mut answer =
            Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new(), len: 0 };
        while let Some(frame) = next(&mut incoming).await.map_err(|_| Error::Silence(name()))? {
            let frame = frame.map_err(broken)?;
            let Some(piece) = frame.data_ref() else { continue };
            answer.len += piece.len() as u64;
            if answer.status < 300 {
                see(piece);
            } else if answer.body.len() < EXCERPT {
                answer.body.extend_from_slice(piece);
            }
        }
        Ok(answer)
    }

    fn request(&self, ask: BenchRequest<'_>) -> Result<Request<Body>> {
        let invalid =
            |error: &dyn Display| Error::Url { url: ask.path.to_owned(), reason: error.to_string() };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(HOST, &self.endpoint.host_header)
            .body(ask.body)
            .map_err(|error| invalid(&error))?;
        let headers = request.headers_mut();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(ask.headers.into_iter().flatten());
        let takes_a_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
        if takes_a_body && request.body().size_hint().exact() == Some(0) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }
}

impl Answer {
    /// A header, if it is text.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer as an error.
    pub(crate) fn refusal(&self, request: String) -> Error {
        let text = String::from_utf8_lossy(&self.body);
        let mut detail = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = detail.char_indices().nth(EXCERPT) {
            detail.truncate(end);
        }
        if (300..400).contains(&self.status) {
            let elsewhere = self.header(http::header::LOCATION).unwrap_or("elsewhere");
            let host = elsewhere.split('?').next().unwrap_or_default();
            detail = format!(
                "it redirects clients to {host}; turn its redirects off to measure the server itself"
            );
        }
        Error::Answer { request, status: self.status, detail }
    }
}

async fn next(body: &mut Incoming) -> Result<Option<hyper::Result<Frame<Bytes>>>, ()> {
    if body.is_end_stream() {
        return Ok(None);
    }
    timeout(SILENCE_TIMEOUT, body.frame()).await.map_err(|_| ())
}

async fn connect(endpoint: &Endpoint) -> Result<SendRequest<Body>> {
    let failed = |source| Error::Connect { host: endpoint.host.clone(), source };
    let stream = timeout(SILENCE_TIMEOUT, TcpStream::connect(&endpoint.addresses[..]))
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let Some((tls, name)) = &endpoint.tls else { return attach(endpoint, stream).await };
    match timeout(SILENCE_TIMEOUT, tls.connect(name.clone(), stream)).await {
        Ok(Ok(stream)) => attach(endpoint, stream).await,
        Ok(Err(source)) => Err(Error::Tls { host: endpoint.host.clone(), hint: hint(&source), source }),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "give --cacert with the authority that signed the certificate, or --insecure"
        }
        Some(rustls::Error::InvalidMessage(_)) => "perhaps it speaks plain HTTP: try http://",
        _ => "is this the right port?",
    }
}

async fn attach(
    endpoint: &Endpoint,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Body>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|source| Error::Http { request: endpoint.host.clone(), source })?;
    // The task ends with the sender; waiting for an answer reports its errors.
    tokio::spawn(connection);
    Ok(sender)
}

/// The content of a request.
#[derive(Clone)]
pub(crate) enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of a blob.
    Blob {
        /// The blob.
        blob: Blob,
        /// The next byte to send.
        at: u64,
        /// The end of the part.
        end: u64,
        /// Whether the request announces the length.
        announced: bool,
    },
}

impl Body {
    /// A whole blob, with its length announced.
    pub(crate) fn whole(blob: &Blob) -> Self {
        Self::Blob { blob: blob.clone(), at: 0, end: blob.size, announced: true }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Bytes(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Self::Blob { blob, at, end, .. } => {
                let piece = blob.piece(*at, *end);
                *at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                piece
            }
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Blob { at, end, .. } => at >= end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Blob { at, end, announced: true, .. } => SizeHint::with_exact(end - at),
            Self::Blob { announced: false, .. } => SizeHint::new(),
        }
    }
}
