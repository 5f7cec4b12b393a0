//! `App::build`: makes a registry from a configuration.

use std::sync::Arc;

use axum::Router;
use sampan_cache::Caches;
use sampan_config::{Environment, Loaded, UploadPurgingConfig};
use sampan_engine::Registry;
use sampan_engine::fill::Admission;

use super::debug::DebugParts;
use super::last_lines::LastLines;
use super::reload::{Reload, Running};
use super::signals::HarmlessSignals;
use super::start_parts::StartParts;
use super::store::InUse;
use super::ui::Pages;
use super::{
    Access, AppError, Checks, caches, collection, debug, descriptors, engine, exposure, http_options,
    metrics, metrics_caches, metrics_sync, middleware, network, notifications, sync, systemd, traces,
    verification,
};
use crate::decorators::Traced;
use crate::drivers::Drivers;
use crate::health::HealthStatus;
use crate::http::{Api, AppState, HttpServices, PageSlot, TraceParent};
use crate::maintenance::{Collector, Syncer, Verifier};
use crate::notify::Notifier;
use crate::serve::Server;
use crate::telemetry::traces::{Traces, continue_from};
use crate::telemetry::{access_log, logging};

/// A registry that is ready to serve: every configured part is open, and the listeners are bound.
pub struct App {
    pub(super) config: Loaded,
    pub(super) registry: Registry,
    pub(super) caches: Option<Caches>,
    pub(super) server: Server<Api>,
    pub(super) debug: Option<Server<Router>>,
    pub(super) access: Access,
    pub(super) checks: Checks,
    pub(super) health: HealthStatus,
    pub(super) collector: Arc<Collector>,
    pub(super) verifier: Arc<Verifier>,
    /// `None` without jobs.
    pub(super) syncer: Option<Arc<Syncer>>,
    /// `None` if the configuration switches purging off.
    pub(super) purging: Option<UploadPurgingConfig>,
    pub(super) notifier: Option<Arc<Notifier>>,
    pub(super) traces: Option<Traces>,
    pub(super) reload: Reload,
    pub(super) signals: HarmlessSignals,
    /// Marks the directory of the store as used by this process.
    pub(super) _used: Option<InUse>,
    pub(super) _last_lines: LastLines,
}

impl App {
    /// Opens every part of the registry of `loaded`. It serves nothing yet.
    ///
    /// # Errors
    ///
    /// If a configured part is not available.
    pub async fn build(
        loaded: Loaded,
        environment: Environment,
        drivers: &Drivers,
    ) -> Result<Self, AppError> {
        let signals = HarmlessSignals::new().map_err(AppError::Signals)?;
        let config = &loaded.config;
        let (traces, doubt) = traces::traces_if_enabled();
        let (log_level, log_lines) =
            logging::install_for_server(&config.log, traces.as_ref().map(Traces::layer));
        let mut last_lines = LastLines::default();
        last_lines.add(log_lines);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting with {}", loaded.source);
        let exposed = [exposure::warnings(&loaded), exposure::unusable_files(&loaded)].concat();
        for warning in loaded.warnings.iter().chain(&exposed).map(ToString::to_string).chain(doubt) {
            tracing::warn!("{warning}");
        }

        let options = http_options(config)?;
        let mut services = HttpServices::default();
        if !config.log.accesslog.disabled {
            let lines = access_log::to_stdout().map_err(AppError::AccessLog)?;
            last_lines.add([lines.clone()]);
            services.apache_log = Some(Arc::new(move |line| lines.send(line)));
        }
        let StartParts { driver, access, security, used } = StartParts::open(config, drivers).await?;
        // The checks call the store itself: a check every ten seconds belongs neither to traces nor to the metrics of
        // clients' calls.
        let checks = Checks::new(config, driver.clone(), drivers.local_directory(&config.storage.driver))?;
        let driver = match traces {
            Some(_) => Arc::new(Traced::new(driver)),
            None => driver,
        };
        let driver = middleware::around(driver, config)?;
        services.trace_parent = traces.as_ref().map(|_| continue_from as TraceParent);
        let metrics = metrics::metrics_if_enabled(&config.http)?;
        let driver = match &metrics {
            Some(metrics) => metrics::of_driver(metrics, driver)?,
            None => driver,
        };
        let descriptors = descriptors::descriptors_if_enabled(config).await?;
        let registry = engine::registry(config, driver, descriptors.clone().map(|cache| cache as _));
        let access = access.with_rules(config, &registry).await?;
        services.guard = access.guard().cloned();
        last_lines.add(access.guard().and_then(|guard| guard.audit().lines()));
        let health = checks.board();
        let writes = health.clone();
        let admission = Admission::default().unless(move || writes.writes_blocked_by().is_some());
        let caches = caches::caches_within(config, admission).await?;
        services.caches = caches.clone();
        let syncer = sync::syncer(config, &registry, caches.as_ref())?;
        let collector = Collector::new(registry.clone(), collection::settings(config));
        let collector = Arc::new(match caches.clone() {
            Some(caches) => collector.unless_offline(move || caches.is_offline()),
            None => collector,
        });
        let listener = match systemd::socket()? {
            Some(socket) => socket,
            None => network::listener(&config.http).await?,
        };
        if let Some(hint) = network::hint(&config.http) {
            tracing::info!("{hint}");
        }
        services.health = health.clone();
        services.metrics =
            metrics.as_ref().map(|page| metrics::of_requests(page, &config.http)).transpose()?;
        let notifier = notifications::notifier(config).await?;
        services.notifier = notifier.clone();
        let settings = verification::settings(config, &registry);
        let sink = notifier.as_ref().map(notifications::own_events);
        let verifier = Arc::new(Verifier::new(registry.clone(), settings, sink));
        let pages = Pages::new(config, &registry, &access, &collector, &verifier);
        let page = pages.page(config)?;
        pages.take_effect(config, page.as_ref());
        services.page = PageSlot::new(page);
        let page = services.page.clone();

        let state = AppState::new(registry.clone(), access.controller(), options, services);
        let limits = network::options(config, network::file_limit());
        let server = Server::new(Api::new(state), limits).listen(listener, security.clone());
        if let Some(metrics) = &metrics {
            if let Some(notifier) = &notifier {
                metrics.register(notifications::metrics(notifier)?)?;
            }
            metrics.register(metrics::of_connections(&server.statistics())?)?;
            metrics.register(metrics::of_health(&health)?)?;
            metrics.register(metrics::of_certificate(&security)?)?;
            metrics.register(metrics::of_cache(&registry, descriptors)?)?;
            metrics.register(metrics::of_disk(checks.disk_space())?)?;
            metrics.register(metrics::of_collections(&collector)?)?;
            metrics.register(metrics::of_verifications(&verifier)?)?;
            metrics.register(metrics::of_rules(access.guard())?)?;
            if let Some(caches) = &caches {
                metrics.register(metrics_caches::of_caches(caches)?)?;
            }
            if let Some(syncer) = &syncer {
                metrics.register(metrics_sync::of_sync(syncer)?)?;
            }
        }
        let shown = DebugParts {
            collector: collector.clone(),
            verifier: verifier.clone(),
            caches: caches.clone(),
            syncer: syncer.clone(),
        };
        let debug = debug::server(&loaded, health.clone(), metrics, shown).await?;
        let running = Running {
            registry: registry.clone(),
            access: access.clone(),
            security,
            log_level,
            collector: collector.clone(),
            verifier: verifier.clone(),
            pages,
            page,
            caches: caches.clone(),
        };
        let reload = Reload::new(&loaded, environment, running);
        let purging =
            Some(config.storage.maintenance.uploadpurging.clone()).filter(|purging| purging.enabled);
        Ok(Self {
            config: loaded,
            registry,
            caches,
            server,
            debug,
            access,
            checks,
            health,
            collector,
            verifier,
            syncer,
            purging,
            notifier,
            traces,
            reload,
            signals,
            _used: used,
            _last_lines: last_lines,
        })
    }
}
