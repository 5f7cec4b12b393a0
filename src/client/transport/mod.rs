//! `Transport`: sends one request, follows its redirects, and keeps them from internal addresses.

mod answer;
mod body;
mod failure;
mod guard;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::sync::OnceCell;
use url::Url;

pub(crate) use answer::{Answer, PROGRESS_BYTES};
pub(crate) use body::Payload;
use guard::{AddressClass, Guard};

use crate::address::RegistryAddress;
use crate::error::{ClientError, Problem, shown_url};
use crate::http_client::HttpClientError;
use crate::limits::Limits;
use crate::options::{ClientOptions, PlainHttp, Timeouts};

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
}

impl Request {
    /// The same request again; `None` if its payload is a stream.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        let payload = self.payload.try_clone()?;
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            payload,
        })
    }
}

/// The HTTP side of a client.
pub(crate) struct Transport {
    address: RegistryAddress,
    plain_http: PlainHttp,
    /// The URL below which `v2/` is, once the scheme is known.
    base: OnceCell<Url>,
    /// For the registry and hosts that the caller named.
    direct: reqwest::Client,
    /// For hosts that a server named: resolves to no internal address, and has no client certificate.
    guarded: reqwest::Client,
    guard: Arc<Guard>,
    proxies: Matcher,
    /// Hosts that the caller trusts, in lower case.
    named_hosts: Vec<String>,
    is_known: AtomicBool,
    timeouts: Timeouts,
    limits: Limits,
}

impl Transport {
    pub(crate) fn new(address: RegistryAddress, options: &ClientOptions) -> Result<Self, HttpClientError> {
        let guard = Arc::<Guard>::default();
        let (direct, guarded) = setup::clients(options, guard.clone())?;
        let named = options.redirect_hosts.iter().chain(&options.trusted_realms);
        Ok(Self {
            base: OnceCell::new(),
            direct,
            guarded,
            guard,
            proxies: Matcher::from_env(),
            named_hosts: named.map(|name| name.to_ascii_lowercase()).collect(),
            is_known: AtomicBool::new(false),
            timeouts: options.timeouts,
            limits: options.limits,
            plain_http: options.plain_http,
            address,
        })
    }

    /// Whether the registry has answered once.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// The registry's URL, as far as known.
    pub(crate) fn registry(&self) -> Url {
        self.base.get().unwrap_or(self.address.url()).clone()
    }

    /// The URL below which `v2/` is. Where http may follow https, the first call finds out which of them the host speaks.
    ///
    /// # Errors
    ///
    /// The host speaks neither, or has a certificate that is not trusted.
    pub(crate) async fn base(&self) -> Result<&Url, ClientError> {
        self.base.get_or_try_init(|| self.find_scheme()).await
    }

    async fn find_scheme(&self) -> Result<Url, ClientError> {
        let secure = self.address.url().clone();
        let may_be_plain = self.plain_http == PlainHttp::Fallback || self.address.is_loopback();
        if self.address.has_scheme() || !may_be_plain {
            return Ok(secure);
        }
        let ping = |base: &Url| Request {
            method: Method::GET,
            url: join(base, "v2/"),
            headers: HeaderMap::new(),
            payload: Payload::Empty,
        };
        let failure = match self.once(&self.direct, ping(&secure)).await {
            Ok(_) => return Ok(secure),
            Err(failure) if matches!(failure.problem(), Problem::Connect(_)) => failure,
            Err(failure) => return Err(failure),
        };
        let plain = self.address.plain_url();
        match self.once(&self.direct, ping(&plain)).await {
            Ok(_) => Ok(plain),
            Err(_) => Err(failure),
        }
    }

    /// Sends a request and follows its redirects, without `Authorization` from the first that leaves the origin.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Answer, ClientError> {
        let origin = request.url.origin();
        for _ in 0..=self.limits.redirects {
            let again = request.try_clone();
            let url = request.url.clone();
            let client = self.client_for(&url)?;
            let answer = self.once(client, request).await;
            let answer = answer.map_err(|error| match url.origin() == origin {
                true => error,
                // The server that redirected here did answer.
                false => error.after_answer(),
            })?;
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer.with_elsewhere(url.origin() != origin));
            }
            let missing = || Problem::Protocol("a redirect without a `Location`".to_owned());
            let target = self.location(&answer)?.ok_or_else(|| answer.at(missing()))?;
            let refused = |reason| {
                let target = shown_url(target.as_str());
                ClientError::at(url.as_str(), Problem::Redirect { target, reason })
            };
            if url.scheme() == "https" && target.scheme() != "https" {
                return Err(refused("it leads from https to http"));
            }
            let is_read =
                again.as_ref().is_some_and(|again| matches!(again.method, Method::GET | Method::HEAD));
            let Some(mut next) = again.filter(|_| is_read || matches!(answer.status(), 307 | 308)) else {
                return Err(refused(
                    "a request that writes does not follow redirects; use that server's address",
                ));
            };
            if target.origin() != url.origin() {
                if matches!(next.payload, Payload::Login(_)) {
                    return Err(refused("it would take the login to another server"));
                }
                for header in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                    next.headers.remove(header);
                }
            }
            next.url = target;
            request = next;
        }
        let limit = u64::from(self.limits.redirects);
        Err(ClientError::at(
            request.url.as_str(),
            Problem::TooLarge { what: "the number of redirects", limit },
        ))
    }

    /// The client for a URL that may come from a server.
    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, ClientError> {
        let refused = |reason| {
            let target = shown_url(url.as_str());
            ClientError::at(self.registry().as_str(), Problem::Redirect { target, reason })
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("its scheme is neither http nor https"));
        }
        let host = url.host_str().unwrap_or_default();
        if self.is_registry(url) || self.named_hosts.iter().any(|name| name == host) {
            return Ok(&self.direct);
        }
        if let Some(address) = guard::literal(url)
            && !self.guard.allows(address)
        {
            return Err(refused(guard::REASON));
        }
        if let Some(proxy) = self.proxy(url) {
            // The proxy resolves the name; the guarded client has to find the proxy itself.
            self.guard.exempt(proxy.host().unwrap_or_default());
        }
        Ok(&self.guarded)
    }

    fn is_registry(&self, url: &Url) -> bool {
        url.host_str() == self.address.url().host_str()
    }

    fn proxy(&self, url: &Url) -> Option<http::Uri> {
        let url = url.as_str().parse().ok()?;
        Some(self.proxies.intercept(&url)?.uri().clone())
    }

    /// Sends one request to one server.
    async fn once(&self, client: &reqwest::Client, request: Request) -> Result<Answer, ClientError> {
        let Request { method, url, mut headers, payload } = request;
        if payload.is_empty_body() {
            // hyper leaves it out, and some servers and proxies insist on it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let (body, progress) = payload.into_body();
        let last = match method {
            Method::PUT | Method::PATCH => self.timeouts.commit,
            _ => self.timeouts.answer,
        };
        let mut builder = client.request(method, url.clone()).headers(headers);
        builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let sent = progress.watch(builder.send(), self.timeouts.stall, last).await;
        let failed =
            |problem| ClientError::at(url.as_str(), progress.source_error().map_or(problem, Problem::Source));
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if failure::is_unreadable_answer(&error) => {
                return Err(failed(failure::problem(error)).after_answer());
            }
            Ok(Err(error)) => return Err(failed(failure::problem(error))),
            Err(problem) => return Err(failed(problem)),
        };
        if self.is_registry(&url) {
            self.is_known.store(true, Ordering::Relaxed);
            if let Some(address) = response.remote_addr().filter(|_| self.proxy(&url).is_none()) {
                self.guard.set_registry(AddressClass::of(address.ip()));
            }
        }
        Ok(Answer::new(url, response, self.timeouts, self.limits))
    }

    /// The target of an answer's `Location`.
    pub(crate) fn location(&self, answer: &Answer) -> Result<Option<Url>, ClientError> {
        let Some(text) = answer.header(LOCATION) else { return Ok(None) };
        let url = self.resolve(answer.url(), text);
        url.map(Some).ok_or_else(|| answer.at(Problem::Protocol("its `Location` is no URL".to_owned())))
    }

    /// The absolute URL of a `Location` or `Link` in the answer of `from`.
    ///
    /// A registry behind a proxy that ends TLS often names itself with http; the client stays with https there.
    pub(crate) fn resolve(&self, from: &Url, text: &str) -> Option<Url> {
        let mut url = without_user(from.join(text).ok()?);
        let is_same_host = url.host_str() == from.host_str();
        let is_same_port = matches!(url.port_or_known_default(), Some(80)) || url.port() == from.port();
        if is_same_host && is_same_port && (from.scheme(), url.scheme()) == ("https", "http") {
            url.set_scheme("https").ok()?;
            url.set_port(from.port()).ok()?;
        }
        Some(url)
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("address", &self.address).finish_non_exhaustive()
    }
}

/// `path` below `base`, which ends in a slash.
pub(crate) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{}{path}", base.path()));
    url.set_query(query);
    url
}

/// The URL without user and password: they would become a login at a host that a server chose.
pub(crate) fn without_user(mut url: Url) -> Url {
    // Fails only for URLs without a host, which have no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
