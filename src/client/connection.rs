//! `Connection`: a registry with its login and its retries; what the clients of registry and repositories share.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::address::RegistryAddress;
use crate::auth::{Authenticator, Scope};
use crate::error::{ClientError, Problem, is_transient, shown_url};
use crate::http_client::HttpClientError;
use crate::options::ClientOptions;
use crate::rate_limit::LastRateLimit;
use crate::retry::{Attempts, RetryPolicy};
use crate::transport::{Answer, Payload, Request, Transport, join};

/// A registry to talk to.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) options: ClientOptions,
    pub(crate) transport: Transport,
    auth: Authenticator,
    pub(crate) rate_limit: LastRateLimit,
}

/// A request that can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    target: Target,
    scope: Scope,
    headers: HeaderMap,
    body: Bytes,
    /// `None`: the connection's.
    pub(crate) retry: Option<RetryPolicy>,
}

#[derive(Clone, Debug)]
enum Target {
    /// Below `v2/`.
    Path(String),
    /// From an answer of the registry.
    Url(Url),
}

impl Call {
    /// A request for `path`, which is below `v2/`.
    pub(crate) fn to(method: Method, path: impl Into<String>, scope: Scope) -> Self {
        Self {
            method,
            target: Target::Path(path.into()),
            scope,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            retry: None,
        }
    }

    /// A request for a URL that the registry gave.
    pub(crate) fn at(method: Method, url: Url, scope: Scope) -> Self {
        Self {
            method,
            target: Target::Url(url),
            scope,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            retry: None,
        }
    }

    /// Adds a header, unless its value has characters that no header may have.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Repeated by another policy than the connection's; `None` changes nothing.
    pub(crate) fn retried(mut self, retry: Option<RetryPolicy>) -> Self {
        self.retry = retry.or(self.retry);
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

impl Connection {
    pub(crate) fn new(address: RegistryAddress, options: ClientOptions) -> Result<Self, HttpClientError> {
        let transport = Transport::new(address.clone(), &options)?;
        let auth = Authenticator::new(address, options.credentials.clone());
        Ok(Self { options, transport, auth, rate_limit: LastRateLimit::default() })
    }

    /// Attempts by a policy, or by the connection's.
    pub(crate) fn attempts(&self, retry: Option<RetryPolicy>) -> Attempts {
        Attempts::new(retry.unwrap_or(self.options.retry), self.options.clock.clone())
    }

    /// Waits before another attempt; the error, if it is final or no time is left.
    pub(crate) async fn wait(&self, attempts: &mut Attempts, error: ClientError) -> Result<(), ClientError> {
        attempts.wait(error, self.transport.is_known()).await
    }

    /// Sends a request, logs in if asked to, and repeats it while its failures are transient. An answer that is not a
    /// success is the caller's to judge, except for 401.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, ClientError> {
        let mut attempts = self.attempts(call.retry);
        loop {
            let failed = match self.once(call).await {
                Ok(answer) if is_transient(answer.status()) => self.error(answer).await,
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.wait(&mut attempts, failed).await?;
        }
    }

    /// As [`call`](Self::call), and reads the document of a 200 within the repetition. Other answers have no document.
    pub(crate) async fn document(
        &self,
        call: &Call,
        limit: u64,
        what: &'static str,
    ) -> Result<(Answer, Bytes), ClientError> {
        let mut attempts = self.attempts(call.retry);
        loop {
            let failed = match self.once(call).await {
                Ok(answer) if is_transient(answer.status()) => self.error(answer).await,
                Ok(mut answer) if answer.status() == 200 => match answer.read(limit, what).await {
                    Ok(document) => return Ok((answer, document)),
                    Err(error) => error,
                },
                Ok(answer) => return Ok((answer, Bytes::new())),
                Err(error) => error,
            };
            self.wait(&mut attempts, failed).await?;
        }
    }

    /// As [`call`](Self::call), without repetition.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer, ClientError> {
        let payload = match (&call.method, call.body.is_empty()) {
            (&Method::GET | &Method::HEAD | &Method::DELETE, true) => Payload::Empty,
            // A writing request without a body has `Content-Length: 0`.
            _ => Payload::Bytes(call.body.clone()),
        };
        self.send(call, payload).await
    }

    /// As [`once`](Self::once), with another body. A stream that the registry refused for its login is not sent again:
    /// the failure is transient, and the next attempt has the new login.
    pub(crate) async fn send(&self, call: &Call, payload: Payload) -> Result<Answer, ClientError> {
        let base = self.transport.base().await?;
        let url = match &call.target {
            Target::Path(path) => join(base, &format!("v2/{path}")),
            Target::Url(url) => url.clone(),
        };
        let mut request =
            Request { method: call.method.clone(), url: url.clone(), headers: call.headers.clone(), payload };
        if url.origin() != base.origin() {
            if base.scheme() == "https" && url.scheme() != "https" {
                let target = shown_url(url.as_str());
                let reason = "it leads from https to http";
                return Err(ClientError::at(base.as_str(), Problem::Redirect { target, reason }));
            }
            return self.transport.send(request).await;
        }
        let login = self.auth.login(&self.transport, &self.options, &url, &call.scope).await?;
        if let Some(header) = &login.header {
            request.headers.insert(AUTHORIZATION, header.clone());
        }
        let again = request.try_clone();
        let answer = self.transport.send(request).await?;
        // A refusal by the target of a redirect is no challenge of the registry.
        if answer.status() != 401 || answer.url().origin() != base.origin() {
            self.rate_limit.note(&answer);
            return Ok(self.judged(answer, call).await);
        }
        let header =
            self.auth.after_refusal(&self.transport, &self.options, answer, &call.scope, &login).await?;
        let Some(mut again) = again else {
            return Err(ClientError::at(url.as_str(), Problem::Broken("the login had expired".to_owned())));
        };
        again.headers.insert(AUTHORIZATION, header);
        let answer = self.transport.send(again).await?;
        match answer.status() == 401 && answer.url().origin() == base.origin() {
            true => Err(self.auth.refused(answer, &call.scope).await),
            false => {
                self.rate_limit.note(&answer);
                Ok(self.judged(answer, call).await)
            }
        }
    }

    /// The answer, which knows whether it refuses an account or an anonymous client.
    async fn judged(&self, answer: Answer, call: &Call) -> Answer {
        if answer.status() != 403 {
            return answer;
        }
        let is_anonymous = self.auth.is_anonymous(answer.url(), &call.scope).await;
        answer.with_anonymous(is_anonymous)
    }

    /// The error of an answer with an unexpected status.
    pub(crate) async fn error(&self, answer: Answer) -> ClientError {
        answer.into_error(self.options.clock.wall()).await
    }
}
