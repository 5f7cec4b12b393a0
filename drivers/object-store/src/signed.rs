//! Requests that the `object_store` crate does not send, signed by its `Signer` like redirect URLs.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use url::Url;

use crate::bucket::{Bucket, Raw};
use crate::error::Failure;

/// A request to sign.
#[derive(Debug)]
pub(crate) struct SignedRequest<'a> {
    /// The action, for messages.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    /// The key of the object; the empty path is the bucket.
    pub(crate) key: &'a Path,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Bucket {
    /// The body of the answer to `request`; repeats the request while the store is overloaded.
    pub(crate) async fn send_signed(&self, raw: &Raw, request: SignedRequest<'_>) -> Result<Bytes, Failure> {
        again_when_overloaded(|| self.send_once(raw, &request)).await
    }

    async fn send_once(&self, raw: &Raw, request: &SignedRequest<'_>) -> Result<Bytes, Failure> {
        let Some(signer) = self.data.signer() else {
            return Err(
                object_store::Error::NotSupported { source: "this store signs nothing".into() }.into()
            );
        };
        let mut options = SignedUrlOptions::new().with_query(request.query.iter().cloned());
        for (name, value) in &request.headers {
            options = options.with_signed_header(name.clone(), value.clone());
        }
        let url = signer.signed_url_opts(request.method.clone(), request.key, VALID, &options).await?;
        exchange(&raw.http, request, &url).await
    }
}

/// Repeats `request` for some seconds while the store says that it is overloaded.
pub(crate) async fn again_when_overloaded<T, F>(request: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut pause = Duration::from_millis(100);
    loop {
        let answer = request().await;
        let passing =
            matches!(&answer, Err(failure) if failure.kind() == sampan_driver::ErrorKind::Unavailable);
        if !passing || pause > MAX_RETRY_DELAY {
            return answer;
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
}

/// Sends `request` to the signed `url`.
async fn exchange(http: &HttpClient, request: &SignedRequest<'_>, url: &Url) -> Result<Bytes, Failure> {
    let mut sent = http::Request::builder().method(request.method.clone()).uri(url.as_str());
    for (name, value) in &request.headers {
        sent = sent.header(name, value);
    }
    if request.method == Method::PUT {
        // Ceph requires it even without a body.
        sent = sent.header(CONTENT_LENGTH, 0);
    }
    let sent = sent.body(HttpRequestBody::empty()).map_err(|error| malformed(request.what, &error))?;
    answer(http, request.what, sent).await
}

/// The failure of `what`, whose request cannot be built.
pub(crate) fn malformed(what: &'static str, error: &http::Error) -> Failure {
    Failure::Answer { what, status: 0, body: format!("cannot build the request: {error}") }
}

/// The body of the answer to a signed request; `what` names the action.
pub(crate) async fn answer(
    http: &HttpClient,
    what: &'static str,
    sent: HttpRequest,
) -> Result<Bytes, Failure> {
    let exchange = async {
        let answer = http.execute(sent).await?;
        let status = answer.status();
        Ok::<_, object_store::client::HttpError>((status, answer.into_body().bytes().await?))
    };
    let (status, body) = match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(object_store::Error::Generic { store: "signed", source: error.into() }.into());
        }
        Err(_) => return Err(Failure::NoAnswer(REQUEST_TIMEOUT)),
    };
    // A copy that fails late has status 200 and an error in the body.
    if status.is_success() && !body.windows(7).any(|window| window == b"<Error>") {
        return Ok(body);
    }
    let status = if status.is_success() { StatusCode::INTERNAL_SERVER_ERROR } else { status };
    let body = String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
    Err(Failure::Answer { what, status: status.as_u16(), body })
}

/// The validity of a signature.
const VALID: Duration = Duration::from_secs(15 * 60);

/// The time limit, long enough for a copy of 5 GiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10 * 60);

const MAX_RETRY_DELAY: Duration = Duration::from_secs(3);
