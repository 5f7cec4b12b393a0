//! `AppState`: the state that all requests share.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use sampan_cache::Caches;
use sampan_engine::Registry;
use url::Url;

use super::client_address::TrustedProxies;
use super::document_budget::DocumentBudget;
use super::metrics::HttpMetrics;
use super::page_slot::PageSlot;
use super::prefix::Prefix;
use crate::auth::{AccessController, Guard};
use crate::health::HealthStatus;
use crate::notify::Notifier;

/// The state that all requests share. Cloning costs one reference count.
#[derive(Clone, Debug)]
pub struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    access: Arc<dyn AccessController>,
    options: HttpOptions,
    services: HttpServices,
    documents: DocumentBudget,
}

impl AppState {
    /// The state of a server for `registry`, guarded by `access`.
    pub fn new(
        registry: Registry,
        access: Arc<dyn AccessController>,
        options: HttpOptions,
        services: HttpServices,
    ) -> Self {
        let documents = DocumentBudget::default();
        Self { inner: Arc::new(Inner { registry, access, options, services, documents }) }
    }

    /// The served registry.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The access controller.
    pub fn access(&self) -> &dyn AccessController {
        &*self.inner.access
    }

    /// The API's settings.
    pub fn options(&self) -> &HttpOptions {
        &self.inner.options
    }

    /// The bytes of documents that responses hold.
    pub(super) fn documents(&self) -> &DocumentBudget {
        &self.inner.documents
    }

    /// The parts of the process that requests use besides the registry.
    pub fn services(&self) -> &HttpServices {
        &self.inner.services
    }
}

/// Receives lines of the access log.
pub type AccessSink = Arc<dyn Fn(String) + Send + Sync>;

/// Attaches a span to the trace named in the request's headers.
pub type TraceParent = fn(&HeaderMap, &tracing::Span);

/// The parts of the process that requests use besides the registry.
#[derive(Clone, Default)]
pub struct HttpServices {
    /// The state of the health checks.
    pub health: HealthStatus,
    /// The caches of other registries, if there are any.
    pub caches: Option<Caches>,
    /// Issues tokens, if the registry has rules of its own.
    pub guard: Option<Arc<Guard>>,
    /// The web page, if it is enabled.
    pub page: PageSlot,
    /// Receives events for notification endpoints.
    pub notifier: Option<Arc<Notifier>>,
    /// The request metrics, if enabled.
    pub metrics: Option<Arc<HttpMetrics>>,
    /// Receives an access log in Apache's combined format.
    pub apache_log: Option<AccessSink>,
    /// Attaches spans to traces, if tracing is enabled.
    pub trace_parent: Option<TraceParent>,
}

impl fmt::Debug for HttpServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServices")
            .field("health", &self.health)
            .field("caches", &self.caches)
            .field("guard", &self.guard)
            .field("page", &self.page)
            .field("notifier", &self.notifier)
            .field("metrics", &self.metrics.is_some())
            .field("apache_log", &self.apache_log.is_some())
            .field("trace_parent", &self.trace_parent.is_some())
            .finish()
    }
}

/// The settings of the HTTP API.
#[derive(Clone)]
pub struct HttpOptions {
    /// The path below which everything is served.
    pub prefix: Prefix,
    /// The registry's public URL; overrides everything in the request.
    pub host: Option<Url>,
    /// Whether `Location` is a path instead of a URL. `host` overrides it.
    pub relative_urls: bool,
    /// Additional headers of every API response.
    pub headers: HeaderMap,
    /// The largest page of the catalog, in repositories; a larger `n` is an error.
    pub catalog_max_entries: usize,
    /// The largest page of tags; a larger `n` is reduced to it. A request without `n` gets all tags.
    pub tags_max: usize,
    /// Whether to redirect clients to the store for blobs that it can serve.
    pub redirect: bool,
    /// The smallest chunk to recommend to clients, in bytes. Smaller ones are accepted.
    pub chunk_min_length: Option<u64>,
    /// Whether to log each request at its end.
    pub access_log: bool,
    /// The most concurrent uploads per address; `None` for no limit.
    pub uploads_per_address: Option<usize>,
    /// The proxies whose forwarding headers count.
    pub trusted_proxies: TrustedProxies,
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
            uploads_per_address: None,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Omits the values of the configured headers, which may be secrets.
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
            .field("uploads_per_address", &self.uploads_per_address)
            .field("trusted_proxies", &self.trusted_proxies)
            .finish()
    }
}
