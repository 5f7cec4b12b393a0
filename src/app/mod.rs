//! The composition root: makes a running registry from a configuration. Nothing else builds things.

mod check;
mod collection;
mod debug;
mod descriptors;
mod engine;
mod error;
mod exposure;
mod health;
mod metrics;
mod middleware;
mod network;
mod notifications;
mod purge_uploads;
mod reload;
mod store;
mod systemd;
mod token;
mod traces;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use sampan_config::{AuthConfig, Config, Environment, Loaded, LogFormatter, LogLevel};
use sampan_driver::{StorageDriver, StoreAccess};
use sampan_engine::gc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;

pub use self::check::{Files, check};
pub use self::error::AppError;
use self::health::Checks;
use self::reload::{Reload, Running};
use self::store::InUse;
use crate::auth::token::Token;
use crate::auth::{AccessController, Anonymous, Htpasswd, Silly, ThrottleOptions};
use crate::blocking::on_blocking_pool;
use crate::drivers::Drivers;
use crate::gc_schedule::Collector;
use crate::http::{Api, AppState, HttpOptions, HttpServices, TraceParent};
use crate::inventory;
use crate::serve::{Security, Server};
use crate::telemetry::traces::{Traced, Traces, continue_from};
use crate::telemetry::{LogFormat, LogOptions, access_log, logging};

/// Serves the registry of `loaded` until SIGTERM or SIGINT.
///
/// # Errors
///
/// If a configured part is not available; the registry has served nothing then.
pub async fn serve(loaded: Loaded, environment: Environment, drivers: &Drivers) -> Result<(), AppError> {
    let config = &loaded.config;
    let (traces, doubt) = traces::wanted();
    let log_level = logging::install(&log_options(config), traces.as_ref().map(Traces::layer));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting with {}", loaded.source);
    let exposed = exposure::warnings(&loaded);
    for warning in loaded.warnings.iter().chain(&exposed).map(ToString::to_string).chain(doubt) {
        tracing::warn!("{warning}");
    }

    let options = http_options(config)?;
    let mut services = HttpServices::default();
    if !config.log.accesslog.disabled {
        services.apache_log = Some(Arc::new(access_log::to_stdout().map_err(AppError::AccessLog)?));
    }
    let Opened { driver, access, security, _used } = Opened::open(config, drivers).await?;
    // The checks call the store itself: a check every ten seconds belongs neither to traces nor to the metrics of clients'
    // calls.
    let checks = Checks::new(config, driver.clone(), drivers.local_directory(&config.storage.driver))?;
    let driver = match traces {
        Some(_) => Arc::new(Traced::new(driver)),
        None => driver,
    };
    let driver = middleware::around(driver, config)?;
    services.trace_parent = traces.as_ref().map(|_| continue_from as TraceParent);
    let metrics = metrics::wanted(&config.http)?;
    let driver = match &metrics {
        Some(metrics) => metrics::of_driver(metrics, driver)?,
        None => driver,
    };
    let descriptors = descriptors::wanted(config).await?;
    let registry = engine::registry(config, driver, descriptors.clone().map(|cache| cache as _));
    let listener = match systemd::socket()? {
        Some(socket) => socket,
        None => network::listener(&config.http).await?,
    };
    if let Some(hint) = network::hint(&config.http) {
        tracing::info!("{hint}");
    }
    let health = checks.board();
    services.health = health.clone();
    services.metrics = metrics.as_ref().map(|page| metrics::of_requests(page, &config.http)).transpose()?;

    let notifier = notifications::notifier(config).await?;
    if let (Some(metrics), Some(notifier)) = (&metrics, &notifier) {
        metrics.register(notifications::metrics(notifier)?)?;
    }
    services.notifier = notifier.clone();

    let state = AppState::new(registry.clone(), access.controller(), options, services);
    let limits = network::options(config, network::file_limit());
    let server = Server::new(Api::new(state), limits).listen(listener, security.clone());
    if let Some(metrics) = &metrics {
        metrics.register(metrics::of_connections(&server.statistics())?)?;
        metrics.register(metrics::of_health(&health)?)?;
        metrics.register(metrics::of_certificate(&security)?)?;
        metrics.register(metrics::of_cache(&registry, descriptors)?)?;
        metrics.register(metrics::of_disk(checks.disk_space())?)?;
    }
    let collector = Arc::new(Collector::new(registry.clone(), collection::settings(config)));
    if let Some(metrics) = &metrics {
        metrics.register(metrics::of_collections(&collector)?)?;
    }
    let debug = debug::server(&loaded, health.clone(), metrics, collector.clone()).await?;
    let mut signals = Signals::new().map_err(AppError::Signals)?;
    let purging = config.storage.maintenance.uploadpurging.clone();
    let work = async {
        if purging.enabled {
            purge_uploads::purge_uploads(registry.clone(), purging).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let watched = access.clone();
    let collecting = tokio::spawn({
        let collector = collector.clone();
        async move { collector.run().await }
    });
    let running =
        Running { registry: registry.clone(), access, security, log_level, collector: collector.clone() };
    let mut reload = Reload::new(&loaded, environment, running);
    let stopping = OnceLock::new();
    let shutdown = async {
        tokio::select! {
            signal = signals.until_the_end(&mut reload) => tracing::info!("stopping on {signal}"),
            () = work => {}
            () = watched.watch() => {}
            () = checks.run() => {}
        }
        let _ = stopping.set(Instant::now());
        health.stop();
        systemd::stopping(loaded.config.http.draintimeout);
        collector.end();
    };
    // The debug listener serves until the last transfer has ended.
    let (drained, over) = oneshot::channel();
    let main = async {
        let ended = server.run(shutdown).await;
        // Deletions without a client get the rest of the drain timeout.
        let spent = stopping.get().map_or(Duration::ZERO, Instant::elapsed);
        let left = loaded.config.http.draintimeout.saturating_sub(spent);
        if tokio::time::timeout(left, registry.finish_deletions()).await.is_err() {
            tracing::warn!(
                "a manifest that was being deleted is left with some of its tags: delete it again"
            );
        }
        if let Err(error) = collecting.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the garbage collector has ended unexpectedly");
        }
        let _ = drained.send(ended);
    };
    systemd::ready();
    let all = async { tokio::join!(debug::run(debug, over), main).0 };
    let drained = tokio::select! {
        drained = all => drained,
        never = notifications::run(notifier.as_deref()) => match never {},
        () = systemd::feed_the_watchdog() => return Ok(()),
    };
    notifications::finish(notifier.as_deref()).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    tracing::info!(aborted = drained.aborted, "stopped");
    Ok(())
}

/// Collects the garbage of the store of `config`.
///
/// # Errors
///
/// If the store cannot be opened, or the collection fails; everything needed is still there then.
pub async fn collect(
    config: &Config,
    drivers: &Drivers,
    options: &gc::Options,
) -> Result<gc::Report, AppError> {
    logging::install(&log_options(config), None);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    let access = if options.dry_run { StoreAccess::ReadOnly } else { StoreAccess::ReadWrite };
    let driver = drivers.build(&config.storage.driver, access).await?;
    let registry = engine::registry(config, driver, None);
    Ok(gc::collect(&registry, options).await?)
}

/// Opens the store of `config` for an inventory, read-only.
///
/// # Errors
///
/// If there is no store, or it cannot be opened.
pub async fn inventory(config: &Config, drivers: &Drivers) -> Result<inventory::Source, AppError> {
    let quiet = LogOptions { level: LevelFilter::WARN, ..log_options(config) };
    logging::install(&quiet, None);
    if let Some(directory) = drivers.local_directory(&config.storage.driver) {
        store::require(&directory)?;
    }
    let driver = drivers.build(&config.storage.driver, StoreAccess::ReadOnly).await?;
    let registry = engine::registry(config, driver, None);
    registry.set_read_only(true);
    Ok(inventory::Source::store(registry))
}

/// The parts that may be missing or forbidden to this process. Opens them together, so that one error names all problems.
struct Opened {
    driver: Arc<dyn StorageDriver>,
    access: Access,
    security: Security,
    /// Lives as long as the registry.
    _used: Option<InUse>,
}

impl Opened {
    async fn open(config: &Config, drivers: &Drivers) -> Result<Self, AppError> {
        let (driver, access, security) = (
            open_store(config, drivers).await,
            Access::open(&config.auth).await,
            network::security(&config.http).await,
        );
        match (driver, access, security) {
            (Ok((driver, _used)), Ok(access), Ok(security)) => Ok(Self { driver, access, security, _used }),
            (driver, access, security) => {
                let errors = [driver.err(), access.err(), security.err()].into_iter().flatten().collect();
                Err(AppError::all(errors).unwrap_or(AppError::Several(Vec::new())))
            }
        }
    }
}

async fn open_store(
    config: &Config,
    drivers: &Drivers,
) -> Result<(Arc<dyn StorageDriver>, Option<InUse>), AppError> {
    let (selected, access) = (&config.storage.driver, store::access(config));
    let driver = drivers.build(selected, access).await?;
    let Some(directory) = drivers.local_directory(selected) else { return Ok((driver, None)) };
    let used = on_blocking_pool(move || {
        store::examine(&directory, access)?;
        Ok::<_, AppError>(InUse::of(&directory))
    })
    .await?;
    Ok((driver, used))
}

/// Access control, and the parts of it that can be replaced while running.
#[derive(Clone, Debug)]
enum Access {
    Anonymous(Arc<Anonymous>),
    Silly(Arc<Silly>),
    Htpasswd(Arc<Htpasswd>),
    Token(Arc<Token>),
}

impl Access {
    async fn open(config: &AuthConfig) -> Result<Self, AppError> {
        match config {
            AuthConfig::Silly(silly) => Ok(Self::Silly(Arc::new(Silly::new(&silly.realm, &silly.service)?))),
            AuthConfig::Htpasswd(htpasswd) => {
                let throttle = ThrottleOptions::default();
                let path = htpasswd.path.display();
                let htpasswd = Htpasswd::open(&htpasswd.realm, htpasswd.path.clone(), throttle).await?;
                tracing::info!(users = htpasswd.users(), "users and passwords were read from {path}");
                Ok(Self::Htpasswd(Arc::new(htpasswd)))
            }
            AuthConfig::Token(token) => Ok(Self::Token(Arc::new(Token::open(token::settings(token)).await?))),
            AuthConfig::None => Ok(Self::Anonymous(Arc::new(Anonymous))),
        }
    }

    /// Checks that [`open`](Self::open) would succeed. Creates nothing, and sends no request.
    async fn check(config: &AuthConfig) -> Result<(), AppError> {
        match config {
            AuthConfig::Silly(silly) => Silly::new(&silly.realm, &silly.service).map(drop)?,
            AuthConfig::Htpasswd(htpasswd) => Htpasswd::check(&htpasswd.realm, htpasswd.path.clone()).await?,
            AuthConfig::Token(token) => Token::check(token::settings(token)).await?,
            AuthConfig::None => {}
        }
        Ok(())
    }

    fn controller(&self) -> Arc<dyn AccessController> {
        match self {
            Self::Anonymous(controller) => controller.clone(),
            Self::Silly(controller) => controller.clone(),
            Self::Htpasswd(controller) => controller.clone(),
            Self::Token(controller) => controller.clone(),
        }
    }

    /// Follows changes of keys and certificates, for as long as it is polled.
    async fn watch(&self) {
        match self {
            Self::Token(token) => token.watch().await,
            // A login checks its file.
            Self::Anonymous(_) | Self::Silly(_) | Self::Htpasswd(_) => std::future::pending().await,
        }
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

fn log_options(config: &Config) -> LogOptions {
    LogOptions {
        level: level_filter(config.log.level),
        format: match config.log.formatter {
            LogFormatter::Text => LogFormat::Text,
            LogFormatter::Json => LogFormat::Json,
            LogFormatter::Logstash => LogFormat::Logstash,
        },
        fields: config.log.fields.clone(),
        caller: config.log.reportcaller,
    }
}

fn http_options(config: &Config) -> Result<HttpOptions, AppError> {
    let http = &config.http;
    let mut headers = HeaderMap::new();
    for (name, values) in &http.headers {
        let invalid = || AppError::Header { name: name.clone() };
        let header: HeaderName = name.parse().map_err(|_| invalid())?;
        for value in values {
            headers.append(header.clone(), HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
    }
    Ok(HttpOptions {
        prefix: http.prefix.as_str().parse()?,
        host: http.host.as_ref().map(|host| host.as_url().clone()),
        relative_urls: http.relativeurls,
        headers,
        catalog_max_entries: config.catalog.maxentries,
        tags_max: config.tags.maxtags,
        redirect: !config.storage.redirect.disable,
        trusted_proxies: network::trusted_proxies(http),
        uploads_per_address: Some(http.limits.uploadsperaddress).filter(|limit| *limit > 0),
        ..HttpOptions::default()
    })
}

/// The signals that a registry handles.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reloads at each SIGHUP, until a signal ends the registry.
    async fn until_the_end(&mut self, reload: &mut Reload) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    systemd::reloading();
                    reload.run().await;
                    systemd::ready();
                }
            }
        }
    }
}
