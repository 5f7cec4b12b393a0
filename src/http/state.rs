//! `AppState`: what every request can reach.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use sampan_engine::Registry;
use url::Url;

use super::client_address::TrustedProxies;
use super::metrics::HttpMetrics;
use super::prefix::Prefix;
use crate::auth::AccessController;
use crate::health::HealthStatus;
use crate::notify::Notifier;

/// What every request can reach. Cloning is one reference count.
#[derive(Clone, Debug)]
pub struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    access: Arc<dyn AccessController>,
    options: HttpOptions,
}

impl AppState {
    /// The state of a server for `registry`, guarded by `access`.
    pub fn new(registry: Registry, access: Arc<dyn AccessController>, options: HttpOptions) -> Self {
        Self { inner: Arc::new(Inner { registry, access, options }) }
    }

    /// The registry that is served.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Who decides what a request may do.
    pub fn access(&self) -> &dyn AccessController {
        &*self.inner.access
    }

    /// How it is served.
    pub fn options(&self) -> &HttpOptions {
        &self.inner.options
    }
}

/// Takes lines of the access log.
pub type AccessSink = Arc<dyn Fn(String) + Send + Sync>;

/// Makes a span part of the trace that the headers of a request name.
pub type TraceParent = fn(&HeaderMap, &tracing::Span);

/// How the registry is served: the settings of the configuration that concern the API alone.
#[derive(Clone)]
pub struct HttpOptions {
    /// The path that everything lives below.
    pub prefix: Prefix,
    /// The URL that clients know this registry by; beats everything a request says of it.
    pub host: Option<Url>,
    /// Whether `Location` is a path instead of a whole URL. `host` beats it.
    pub relative_urls: bool,
    /// Headers that every answer of the API carries besides its own.
    pub headers: HeaderMap,
    /// The most repositories that a page of the catalog may have; asking for more is an error.
    pub catalog_max_entries: usize,
    /// The most tags that a page may have; asking for more gives this many. A request for all tags is not paged.
    pub tags_max: usize,
    /// Whether a client is sent to the store for a blob when the store can serve it.
    pub redirect: bool,
    /// The smallest chunk that is recommended to clients, in bytes. Smaller ones are taken all the same.
    pub chunk_min_length: Option<u64>,
    /// Whether each request is logged when it is done.
    pub access_log: bool,
    /// Who gets a line in Apache's combined format for each request, if anybody does.
    pub combined_log: Option<AccessSink>,
    /// Who is told what happens, if anybody is.
    pub notifier: Option<Arc<Notifier>>,
    /// How many uploads one address may have under way; no limit without it.
    pub uploads_per_address: Option<usize>,
    /// The proxies that are believed when they say where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// What is not well at the moment.
    pub health: HealthStatus,
    /// What counts the requests, if they are counted.
    pub metrics: Option<Arc<HttpMetrics>>,
    /// What joins traces, if requests are traced.
    pub trace_parent: Option<TraceParent>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            host: None,
            relative_urls: false,
            headers: HeaderMap::new(),
            catalog_max_entries: 1000,
            tags_max: 1000,
            redirect: true,
            chunk_min_length: None,
            access_log: true,
            combined_log: None,
            notifier: None,
            uploads_per_address: None,
            trusted_proxies: TrustedProxies::default(),
            health: HealthStatus::default(),
            metrics: None,
            trace_parent: None,
        }
    }
}

/// Without the values of the configured headers, which may be secrets.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("prefix", &self.prefix)
            .field("host", &self.host.as_ref().map(Url::as_str))
            .field("relative_urls", &self.relative_urls)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("catalog_max_entries", &self.catalog_max_entries)
            .field("tags_max", &self.tags_max)
            .field("redirect", &self.redirect)
            .field("chunk_min_length", &self.chunk_min_length)
            .field("access_log", &self.access_log)
            .field("combined_log", &self.combined_log.is_some())
            .field("notifier", &self.notifier)
            .field("uploads_per_address", &self.uploads_per_address)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("health", &self.health)
            .field("metrics", &self.metrics.is_some())
            .field("trace_parent", &self.trace_parent.is_some())
            .finish()
    }
}
