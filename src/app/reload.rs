//! Applies a changed configuration at SIGHUP, and reports changes that need a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sampan_cache::Caches;
use sampan_config::{Config, Environment, HttpConfig, Loaded, Source};
use sampan_driver::with_causes;
use sampan_engine::Registry;
use sampan_ui::Ui;

use tokio::time::timeout;

use super::ui::Pages;
use super::{Access, collection, verification};
use crate::blocking::on_blocking_pool;
use crate::http::PageSlot;
use crate::maintenance::{Collector, Verifier};
use crate::serve::Security;
use crate::telemetry::LevelSwitch;

/// How long a reload waits for writes that are running when the registry becomes read-only.
const WRITES_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the configuration again.
pub(super) struct Reload {
    source: Source,
    environment: Environment,
    running: Running,
    /// The configuration in effect.
    config: Config,
    /// The grace period of the leases: that of the start.
    grace: Option<Duration>,
    /// The parts that this reload could not replace.
    failed: Vec<&'static str>,
}

/// The parts of a running registry that can be replaced.
pub(super) struct Running {
    pub(super) registry: Registry,
    pub(super) access: Access,
    pub(super) security: Security,
    pub(super) log_level: LevelSwitch,
    pub(super) collector: Arc<Collector>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) pages: Pages,
    /// The page that requests see.
    pub(super) page: PageSlot,
    pub(super) caches: Option<Caches>,
}

impl Reload {
    pub(super) fn new(loaded: &Loaded, environment: Environment, running: Running) -> Self {
        let (source, config) = (loaded.source.clone(), loaded.config.clone());
        let grace = config.gc.lease_grace();
        Self { source, environment, running, config, grace, failed: Vec::new() }
    }

    /// Surveys the store while there is a page; never ends.
    pub(super) fn surveys(&self) -> impl Future<Output = ()> + Send + use<> {
        self.running.pages.surveys()
    }

    /// Applies the changes that are possible while running, and reports the others. A faulty file changes nothing.
    pub(super) async fn run(&mut self) {
        tracing::info!("SIGHUP: reading {} again", self.source);
        self.failed.clear();
        self.take_certificates().await;
        self.take_passwords().await;
        self.take_token_keys().await;
        self.take_signing_keys().await;
        let (source, environment) = (self.source.clone(), self.environment.clone());
        let loaded = match on_blocking_pool(move || Config::load(source, &environment)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                for warning in error.warnings() {
                    tracing::warn!("{warning}");
                }
                let problem = with_causes(&error);
                tracing::error!("SIGHUP: cannot apply {}, so nothing changes: {problem}", self.source);
                if let Some(guard) = self.running.access.guard() {
                    guard.policy().configuration_refused(&problem);
                }
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let new = loaded.config;
        let mut taken = Vec::new();
        taken.extend(self.take_log_level(&new));
        taken.extend(self.take_read_only(&new));
        taken.extend(self.take_collection(&new));
        taken.extend(self.take_verification(&new));
        taken.extend(self.take_rules(&new).await);
        taken.extend(self.take_page(&new));
        taken.extend(self.take_offline(&new));
        if self.running.registry.limits().read_only {
            self.wait_for_writes().await;
        }
        let pending = differences(&self.config, &new);
        for key in &pending {
            tracing::warn!("{key} has changed in {}; the change needs a restart", self.source);
        }
        match self.failed.is_empty() {
            true => tracing::info!("SIGHUP: {}", self.outcome(&taken, &pending)),
            false => tracing::error!("SIGHUP: {}", self.outcome(&taken, &pending)),
        }
    }

    /// The result of a reload, for the log.
    fn outcome(&self, taken: &[String], pending: &[&str]) -> String {
        let mut waits = match pending.len() {
            0 => String::new(),
            _ => format!("; {} waits for a restart", pending.join(", ")),
        };
        if !self.failed.is_empty() {
            let failed = self.failed.join(", ");
            waits.push_str(&format!("; not replaced, see the errors above: {failed}"));
        }
        if !taken.is_empty() {
            return format!("applied: {}{waits}", taken.join(", "));
        }
        if !waits.is_empty() {
            return format!("nothing was applied{waits}");
        }
        let hint = match self.source.path().is_some_and(is_mounted) {
            true => {
                " (it is mounted into this container as a single file, so a file that an editor puts in its place is not seen: \
                 mount its directory)"
            }
            false => "",
        };
        format!("nothing has changed in {} since it was read last{hint}", self.source)
    }

    async fn take_certificates(&mut self) {
        let Security::Tls(tls) = &self.running.security else { return };
        match tls.reload().await {
            Ok(()) => tracing::info!("certificates were read again"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot replace the certificates, so the old ones stay in use"
                );
                self.failed.push("the certificates");
            }
        }
    }

    async fn take_passwords(&mut self) {
        let Some(htpasswd) = self.running.access.passwords() else { return };
        match htpasswd.reload().await {
            Ok(()) => tracing::info!(users = htpasswd.users(), "users and passwords were read again"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot replace the users and passwords, so the old ones stay in use"
                );
                self.failed.push("the users and passwords");
            }
        }
    }

    async fn take_token_keys(&mut self) {
        let Access::Token(token) = &self.running.access else { return };
        match token.reload().await {
            Ok(()) => tracing::info!("the keys for tokens were read again"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot replace the keys for tokens, so the old ones stay in use"
                );
                self.failed.push("the keys for tokens");
            }
        }
    }

    async fn take_rules(&mut self, new: &Config) -> Option<String> {
        let (Some(guard), Some(access)) = (self.running.access.guard(), &new.access) else { return None };
        if let Err(error) = guard.policy().reload(access).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot replace the rules of access, so the old ones stay in effect"
            );
            self.failed.push("the rules of access");
            return None;
        }
        let old = self.config.access.as_mut()?;
        // A file that comes or goes needs a restart.
        let is_new = access.file == old.file && (access.groups != old.groups || access.rules != old.rules);
        if is_new {
            old.groups = access.groups.clone();
            old.rules = access.rules.clone();
        }
        is_new.then(|| "access.rules".to_owned())
    }

    async fn take_signing_keys(&mut self) {
        let Some(guard) = self.running.access.guard() else { return };
        guard.audit().reopen();
        if let Err(error) = guard.reload_keys().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot replace the keys that sign tokens, so the old ones stay in use"
            );
            self.failed.push("the keys that sign tokens");
            return;
        }
        // The sessions of the page depend on the keys.
        let config = self.config.clone();
        if let Some(page) = self.page(&config) {
            self.running.page.replace(page);
        }
    }

    /// The page of a configuration, which may have none; `None` if it cannot be made.
    fn page(&mut self, config: &Config) -> Option<Option<Ui>> {
        let made = self.running.pages.page(config).inspect_err(|error| {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "cannot replace the web page, so the old one stays in use"
            );
        });
        if made.is_err() {
            self.failed.push("the web page");
        }
        made.ok()
    }

    fn take_log_level(&mut self, new: &Config) -> Option<String> {
        let level = new.log.level;
        let is_new = level != self.config.log.level && self.running.log_level.set(level);
        is_new.then(|| {
            self.config.log.level = level;
            format!("the log's level is {}", level.as_str())
        })
    }

    fn take_read_only(&mut self, new: &Config) -> Option<String> {
        let read_only = new.storage.maintenance.readonly.enabled;
        let is_new = self.running.registry.limits().read_only != read_only;
        self.running.registry.set_read_only(read_only);
        self.config.storage.maintenance.readonly.enabled = read_only;
        is_new.then(|| format!("read-only mode is {}", if read_only { "on" } else { "off" }))
    }

    /// Waits for the writes that began before read-only mode, so that nothing changes the store after the line that says that
    /// it is on.
    async fn wait_for_writes(&self) {
        let registry = &self.running.registry;
        if timeout(WRITES_TIMEOUT, registry.writes_ended()).await.is_err() {
            tracing::warn!(
                "{} writes that began before read-only mode are still running; send SIGHUP again to wait for them",
                registry.running_writes()
            );
        }
    }

    /// Whether upstreams are asked.
    fn take_offline(&mut self, new: &Config) -> Option<String> {
        let (caches, new, old) =
            (self.running.caches.as_ref()?, new.proxy.as_ref()?, self.config.proxy.as_mut()?);
        let is_new = caches.is_offline() != new.offline;
        caches.set_offline(new.offline);
        old.offline = new.offline;
        is_new.then(|| format!("upstreams are {}", if new.offline { "not asked" } else { "asked again" }))
    }

    /// Replaces the page. With a way of authentication that has no page, the change waits for a restart, like that of the way.
    fn take_page(&mut self, new: &Config) -> Option<String> {
        if new.ui == self.config.ui {
            return None;
        }
        let config = Config { ui: new.ui.clone(), ..self.config.clone() };
        let page = self.page(&config).filter(|page| page.is_some() == new.ui.enabled)?;
        self.running.page.replace(page.clone());
        self.running.pages.take_effect(&config, page.as_ref());
        self.config.ui = new.ui.clone();
        Some("ui".to_owned())
    }

    /// Applies the changes of `gc`, but for a grace period that is not that of the leases: what it collects waits for a restart,
    /// and what collects nothing is applied without it.
    fn take_collection(&mut self, new: &Config) -> Option<String> {
        let (old, mut taken) = (&mut self.config.gc, new.gc.clone());
        match taken.lease_grace() == self.grace {
            true => {}
            false if taken.enabled => taken.clone_from(old),
            false => taken.grace = old.grace,
        }
        let is_new = *old != taken;
        *old = taken;
        self.running.collector.reconsider(collection::settings(&self.config));
        is_new.then(|| "gc".to_owned())
    }

    fn take_verification(&mut self, new: &Config) -> Option<String> {
        let is_new = self.config.verify != new.verify;
        self.config.verify = new.verify.clone();
        let settings = verification::settings(&self.config, &self.running.registry);
        self.running.verifier.reconsider(settings);
        is_new.then(|| "verify".to_owned())
    }
}

/// Whether a file is itself a mount, as in a container.
fn is_mounted(path: &Path) -> bool {
    let Ok(path) = std::fs::canonicalize(path) else { return false };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The fifth field is the mount point.
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| Path::new(point) == path)
}

/// The keys with different values.
fn differences(old: &Config, new: &Config) -> Vec<&'static str> {
    let storage = |config: &Config| config.storage.clone();
    let (old_storage, new_storage) = (storage(old), storage(new));
    let pairs = [
        ("log", old.log != new.log),
        ("storage driver", old_storage.driver != new_storage.driver),
        ("storage.delete", old_storage.delete != new_storage.delete),
        ("storage.redirect", old_storage.redirect != new_storage.redirect),
        ("storage.cache", old_storage.cache != new_storage.cache),
        ("storage.tag", old_storage.tag != new_storage.tag),
        ("gc", old.gc != new.gc),
        ("storage.maintenance", old_storage.maintenance != new_storage.maintenance),
        ("auth", old.auth != new.auth),
        ("access", old.access != new.access),
        ("audit", old.audit != new.audit),
        ("http.addr", old.http.addr != new.http.addr || old.http.net != new.http.net),
        ("http.tls", old.http.tls != new.http.tls),
        ("http.limits", old.http.limits != new.http.limits),
        ("http", without_the_above(&old.http) != without_the_above(&new.http)),
        ("health", old.health != new.health),
        ("notifications", old.notifications != new.notifications),
        ("catalog", old.catalog != new.catalog),
        ("tags", old.tags != new.tags),
        ("validation", old.validation != new.validation),
        ("policy", old.policy != new.policy),
        ("proxy", old.proxy != new.proxy),
        ("sync", old.sync != new.sync),
        ("redis", old.redis != new.redis),
        ("middleware", old.middleware != new.middleware),
        ("ui", old.ui != new.ui),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn without_the_above(http: &HttpConfig) -> HttpConfig {
    let defaults = Config::default().http;
    HttpConfig { addr: defaults.addr, net: defaults.net, tls: None, limits: defaults.limits, ..http.clone() }
}
