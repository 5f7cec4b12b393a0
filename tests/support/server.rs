//! `Server`: a whole registry in this process, over a store in memory, without a socket.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sampan::auth::{AccessController, Anonymous};
use sampan::http::{Api, AppState, HttpOptions, HttpServices};
use sampan_driver::{DriverPath, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::{Clock, Limits, Registry, Validation};

use super::client::Call;

/// The parts of a server.
pub(crate) struct Setup {
    pub(crate) driver: Arc<dyn StorageDriver>,
    pub(crate) access: Arc<dyn AccessController>,
    pub(crate) options: HttpOptions,
    pub(crate) services: HttpServices,
    pub(crate) limits: Limits,
    pub(crate) validation: Validation,
    pub(crate) prefixes: CachePrefixes,
    pub(crate) grace: Option<Duration>,
    pub(crate) clock: Clock,
}

impl Default for Setup {
    /// An empty store with deletion enabled, and access for every client.
    fn default() -> Self {
        Self {
            driver: Arc::new(InMemoryDriver::new()),
            access: Arc::new(Anonymous),
            options: HttpOptions::default(),
            services: HttpServices::default(),
            limits: Limits { delete: true, ..Limits::default() },
            validation: Validation::default(),
            prefixes: CachePrefixes::default(),
            grace: None,
            clock: Clock::default(),
        }
    }
}

/// A whole registry in this process.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) registry: Registry,
    driver: Arc<dyn StorageDriver>,
}

impl Server {
    /// A server with [`Setup::default`].
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let Setup { driver, access, options, services, limits, validation, prefixes, grace, clock } = setup;
        let builder = Registry::builder(Arc::clone(&driver)).limits(limits).validation(validation);
        let registry = builder.caches(prefixes).gc_grace(grace).clock(clock).build();
        let api = Api::new(AppState::new(registry.clone(), access, options, services));
        Self { api, registry, driver }
    }

    /// The store.
    pub(crate) fn driver(&self) -> Arc<dyn StorageDriver> {
        self.driver.clone()
    }

    /// A server with other options.
    pub(crate) fn with_options(options: HttpOptions) -> Self {
        Self::with(Setup { options, ..Setup::default() })
    }

    /// A server with other services.
    pub(crate) fn with_services(services: HttpServices) -> Self {
        Self::with(Setup { services, ..Setup::default() })
    }

    /// A request; `path` includes its query.
    pub(crate) fn call(&self, method: &str, path: impl AsRef<str>) -> Call {
        Call::new(self.api.clone(), method, path.as_ref())
    }

    /// Every file in the store with its size, to detect changes.
    pub(crate) async fn files(&self) -> Vec<(String, u64)> {
        let files = self.driver.walk(&DriverPath::root(), None);
        files.map_ok(|file| (file.path.to_string(), file.size_bytes)).try_collect().await.unwrap()
    }
}
