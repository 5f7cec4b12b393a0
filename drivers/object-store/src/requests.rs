//! The HTTP client for the `object_store` crate: counts, limits and optionally logs requests, and inspects a few answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::{Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use tokio::sync::Semaphore;

use crate::deleted_names::without_names;
use crate::foreign::ForeignKeys;
use crate::intermediary::{RequestClass, foreign_404};

/// The kinds of request that stores charge for; their numbers show the driver's efficiency.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RequestKind {
    /// Copies, of objects and of parts of them.
    Copy,
    /// Deletions, of one object or of many; also of unfinished uploads.
    Delete,
    /// Reads of content.
    Get,
    /// Requests for size and time.
    Head,
    /// Pages of listings.
    List,
    /// Starts and ends of multipart uploads.
    Multipart,
    /// Anything else: credentials, lifecycle rules.
    Other,
    /// Writes of objects and parts.
    Put,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Copy,
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::List,
        Self::Multipart,
        Self::Other,
        Self::Put,
    ];

    /// The name in lower case, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Multipart => "multipart",
            Self::Other => "other",
            Self::Put => "put",
        }
    }

    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers().keys().any(|name| name.as_str().ends_with("-copy-source"));
        match *request.method() {
            Method::GET if asks("list-type") || asks("comp") || asks("uploads") => Self::List,
            Method::GET if asks("lifecycle") => Self::Other,
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::PUT if copies => Self::Copy,
            Method::PUT if query.contains("comp=blocklist") => Self::Multipart,
            Method::PUT => Self::Put,
            Method::DELETE => Self::Delete,
            Method::POST if asks("delete") || query.contains("comp=batch") => Self::Delete,
            Method::POST if asks("uploads") || asks("uploadId") => Self::Multipart,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RequestOutcome {
    /// No answer: the connection failed, was cut, or timed out.
    NoAnswer,
    /// The store is overloaded or in trouble (429, 5xx), so the request is repeated.
    Overloaded,
    /// A refusal; mostly "no such object", which is often the expected answer.
    Refused,
    /// Success.
    Success,
}

impl RequestOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoAnswer, Self::Overloaded, Self::Refused, Self::Success];

    /// The name in snake case, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Overloaded => "overloaded",
            Self::Refused => "refused",
            Self::Success => "success",
        }
    }

    fn of(answer: &Result<HttpResponse, HttpError>) -> Self {
        let Ok(answer) = answer else { return Self::NoAnswer };
        match answer.status() {
            status if status.is_success() => Self::Success,
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Self::Overloaded,
            _ => Self::Refused,
        }
    }
}

/// The requests of one kind and outcome in this process, over all object stores, retries included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestCount {
    /// The kind.
    pub kind: RequestKind,
    /// The outcome.
    pub outcome: RequestOutcome,
    /// The number of requests.
    pub requests: u64,
    /// Their total time until the headers of the answer.
    pub duration: Duration,
}

/// The counts so far, without kinds and outcomes that did not occur.
pub fn request_counts() -> impl Iterator<Item = RequestCount> {
    let all =
        RequestKind::ALL.into_iter().flat_map(|kind| RequestOutcome::ALL.map(|outcome| (kind, outcome)));
    all.filter_map(|(kind, outcome)| {
        let counted = &COUNTS[kind as usize][outcome as usize];
        let requests = counted.requests.load(Ordering::Relaxed);
        let duration = Duration::from_micros(counted.micros.load(Ordering::Relaxed));
        (requests > 0).then_some(RequestCount { kind, outcome, requests, duration })
    })
}

/// The progress that Azure reports of an unfinished copy, as an extension of the answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CopyStatus(pub(crate) String);

/// Creates HTTP clients with these counters and limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedConnector {
    limit: Option<Arc<Semaphore>>,
    log: bool,
    foreign: Arc<ForeignKeys>,
}

impl ObservedConnector {
    /// At most `concurrency` requests wait for an answer at a time; `log` logs each.
    pub(crate) fn new(concurrency: Option<usize>, log: bool) -> Self {
        let limit = concurrency.map(|permits| Arc::new(Semaphore::new(permits)));
        Self { limit, log, foreign: Arc::default() }
    }
}

impl HttpConnector for ObservedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connector = ReqwestConnector::default();
        let inner = match connector.connect(options) {
            // A machine without authorities can still speak plain HTTP; TLS fails where it connects.
            Err(_) => connector.connect(&options.clone().with_no_system_certificates(true))?,
            Ok(connected) => connected,
        };
        Ok(HttpClient::new(ObservedService { inner, watch: self.clone() }))
    }
}

#[derive(Debug)]
struct ObservedService {
    inner: HttpClient,
    watch: ObservedConnector,
}

#[async_trait]
impl HttpService for ObservedService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let kind = RequestKind::of(&request);
        let _permit = match &self.watch.limit {
            Some(limit) => {
                Some(limit.acquire().await.map_err(|closed| HttpError::new(HttpErrorKind::Unknown, closed))?)
            }
            None => None,
        };
        // Never the query: it may be a signature.
        let what = self.watch.log.then(|| (request.method().clone(), request.uri().path().to_owned()));
        let (is_repeatable, asked) = (is_repeatable(kind, &request), RequestClass::of(&request));
        let begun = Instant::now();
        let mut answer = self.inner.execute(request).await;
        let duration = begun.elapsed();
        answer = match answer {
            Ok(answer) if is_repeatable || !answer.status().is_success() => {
                self.whole(answer, kind, asked).await
            }
            answer => answer,
        };
        COUNTS[kind as usize][RequestOutcome::of(&answer) as usize].add(duration);
        if let Some((method, path)) = what {
            let millis = begun.elapsed().as_millis() as u64;
            match &answer {
                Ok(answer) => {
                    tracing::info!(%method, path, status = answer.status().as_u16(), millis, "storage request");
                }
                Err(error) => {
                    tracing::info!(%method, path, %error, millis, "storage request without an answer");
                }
            }
        }
        if let Ok(answer) = &mut answer
            && let Some(status) = answer.headers().get("x-ms-copy-status")
        {
            let status = CopyStatus(String::from_utf8_lossy(status.as_bytes()).into_owned());
            answer.extensions_mut().insert(status);
        }
        answer
    }
}

impl ObservedService {
    /// The answer with its whole body, which the `object_store` crate would read only after its last retry. The page of a
    /// listing has no foreign keys.
    async fn whole(
        &self,
        answer: HttpResponse,
        kind: RequestKind,
        asked: RequestClass,
    ) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = answer.into_parts();
        match body.bytes().await {
            Ok(page) if kind == RequestKind::List && head.status.is_success() => {
                Ok(HttpResponse::from_parts(head, self.watch.foreign.cut(page).into()))
            }
            Ok(answer) if kind == RequestKind::Delete && head.status.is_success() => {
                Ok(HttpResponse::from_parts(head, without_names(answer).into()))
            }
            Ok(body) => match foreign_404(asked, &head, &body) {
                Some(page) => {
                    // The crate repeats such a request, and an error of it is no missing object.
                    head.status = StatusCode::BAD_GATEWAY;
                    Ok(HttpResponse::from_parts(head, page.into()))
                }
                None => Ok(HttpResponse::from_parts(head, body.into())),
            },
            // The crate repeats any request that it believes undelivered. Repeating a deletion is harmless, but the crate
            // does not know that of a POST.
            Err(error) if kind == RequestKind::Delete => Err(HttpError::new(HttpErrorKind::Request, error)),
            Err(error) => Err(HttpError::new(HttpErrorKind::Interrupted, error)),
        }
    }
}

/// Whether an answer of success has a small body, and the request may be repeated if that body breaks off. A refusal is
/// always small, and changed nothing.
///
/// Reads of content resume where they broke off, and a lookup of the object reveals the end of a multipart upload.
fn is_repeatable(kind: RequestKind, request: &HttpRequest) -> bool {
    match kind {
        RequestKind::Copy | RequestKind::Delete | RequestKind::List => true,
        // The start. A second one leaves the first to the sweep of stale uploads.
        RequestKind::Multipart => request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.starts_with("uploads"))),
        RequestKind::Get | RequestKind::Head | RequestKind::Other | RequestKind::Put => false,
    }
}

/// Two counters that need not agree exactly.
#[derive(Debug)]
struct Counters {
    requests: AtomicU64,
    micros: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self { requests: AtomicU64::new(0), micros: AtomicU64::new(0) }
    }

    fn add(&self, duration: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}

static COUNTS: [[Counters; RequestOutcome::ALL.len()]; RequestKind::ALL.len()] =
    [const { [const { Counters::new() }; RequestOutcome::ALL.len()] }; RequestKind::ALL.len()];

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::HttpRequestBody;

    #[test]
    fn requests_are_told_apart() {
        for (method, uri, kind) in [
            (Method::GET, "http://h/b?list-type=2&prefix=x", RequestKind::List),
            (Method::GET, "http://h/b?comp=list&restype=container", RequestKind::List),
            (Method::GET, "http://h/b/key", RequestKind::Get),
            (Method::PUT, "http://h/b/key?partNumber=1&uploadId=x", RequestKind::Put),
            (Method::PUT, "http://h/b/key?comp=blocklist", RequestKind::Multipart),
            (Method::POST, "http://h/b?delete=", RequestKind::Delete),
            (Method::POST, "http://h/b/key?uploads=", RequestKind::Multipart),
            (Method::POST, "http://h/b/key?uploadId=x", RequestKind::Multipart),
            (Method::DELETE, "http://h/b/key?uploadId=x", RequestKind::Delete),
        ] {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = method;
            *request.uri_mut() = uri.parse().unwrap();
            assert_eq!(RequestKind::of(&request), kind, "{uri}");
        }
        for (index, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, outcome) in RequestOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
