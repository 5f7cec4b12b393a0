//! `Config`: the whole file.

use super::findings::Findings;
use super::key::{Key, Kind};
use super::section::{Value, section};
use super::{
    AccessConfig, AuditConfig, AuthConfig, CatalogConfig, DescriptorCacheKind, Diagnostic, GcConfig,
    HealthConfig, HttpConfig, LogConfig, LogLevel, MiddlewareConfig, Node, NotificationsConfig, PolicyConfig,
    ProxyConfig, RedisConfig, StorageConfig, SyncJob, TagsConfig, UiConfig, ValidationConfig, VerifyConfig,
    Version, sync,
};

section! {
    /// The whole configuration: pure data, every default filled in.
    pub struct Config {
        /// The version of the format; there is one. Missing is a warning, since Distribution insists on it.
        pub version: Version = "0.1",
        /// The log.
        pub log: LogConfig,
        key Key::of::<Option<LogLevel>>("loglevel").meaning("The old name of `log.level`; a warning."),
        /// The store and the rules for its content.
        pub storage: StorageConfig,
        /// Garbage collection in the running registry.
        pub gc: GcConfig; ours,
        /// The search for damaged content in the running registry.
        pub verify: VerifyConfig; ours,
        /// How clients authenticate.
        pub auth: AuthConfig; never_blank(
            "name how clients authenticate, such as `htpasswd`, or write `auth: none` (REGISTRY_AUTH=none) to let every client \
             in"
        ),
        /// Who may do what.
        pub access: Option<AccessConfig>; ours; never_blank(
            "give `rules`, or a `file` with them; without the section, every user may do everything"
        ),
        /// Who did what.
        pub audit: Option<AuditConfig>; ours,
        /// The web page.
        pub ui: UiConfig; ours,
        /// Middleware; [`Middleware::as_storage`](super::Middleware::as_storage) accepts every entry.
        pub middleware: Option<MiddlewareConfig>,
        /// The HTTP server.
        pub http: HttpConfig,
        /// The recipients of events.
        pub notifications: Option<NotificationsConfig>,
        /// The redis server of the descriptor cache.
        pub redis: Option<RedisConfig>,
        /// Health checks.
        pub health: Option<HealthConfig>,
        /// Listings of repositories.
        pub catalog: CatalogConfig,
        /// Listings of tags.
        pub tags: TagsConfig,
        /// Caches of other registries.
        pub proxy: Option<ProxyConfig>,
        /// Jobs that copy repositories of upstreams on a schedule.
        pub sync: Vec<SyncJob>; ours,
        /// The rules for manifests.
        pub validation: ValidationConfig,
        /// The rules for repositories.
        pub policy: PolicyConfig,
    }
}

/// The kind of the whole file.
pub(crate) const ROOT: Kind = <Config as Value>::KIND;

impl Config {
    /// The mistakes and the warnings of values that do not fit together.
    pub(crate) fn check(&self, tree: &Node) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let mut found = Findings::new(tree);
        self.http.check(&mut found);
        self.auth.check(&mut found);
        if let Some(access) = &self.access {
            access.check(&self.auth, &self.http, &mut found);
        }
        if self.audit.is_some() {
            AuditConfig::check(self.access.is_some(), &mut found);
        }
        self.ui.check(&self.auth, &mut found);
        if let Some(health) = &self.health {
            health.check(self.storage.driver.name(), &mut found);
        }
        if let Some(notifications) = &self.notifications {
            notifications.check(&mut found);
        }
        self.storage.check(&mut found);
        self.gc.check(&mut found);
        self.verify.check(&mut found);
        if let Some(middleware) = &self.middleware {
            middleware.check(&mut found);
        }
        self.check_cache(&mut found);
        if let Some(proxy) = &self.proxy {
            proxy.check(self, &mut found);
        }
        sync::check(self, &mut found);
        self.tags.check(&mut found);
        self.validation.check(&mut found);
        (found.mistakes, found.warnings)
    }

    /// Checks that the descriptor cache has its server, and the server its cache.
    fn check_cache(&self, found: &mut Findings<'_>) {
        let wanted = self.storage.cache.blobdescriptor == Some(DescriptorCacheKind::Redis);
        match &self.redis {
            Some(redis) if wanted => redis.check(found),
            Some(_) => found.warning("redis", "has no effect without `storage.cache.blobdescriptor: redis`"),
            None if wanted => {
                let message = "needs the section `redis`, with `addrs: [HOST:PORT]`";
                found.mistake("storage.cache.blobdescriptor", message);
            }
            None => {}
        }
    }
}
