//! The configuration file, `REGISTRY_*` variables and defaults: Distribution's `config.yml`, key for key.
//!
//! Four stages that never mix: text and environment → merged tree, each value with its origin → [`Config`], pure data →
//! checks across keys. Other modules build things from it. Absent on purpose: the meaning of a driver's parameters, which the
//! driver knows, and reads of the process environment, which only [`Environment::of_process`] does.

mod auth;
mod check;
mod de;
mod defaults;
mod diagnostic;
mod distribution;
mod environment;
mod error;
mod gc;
mod health;
mod http;
mod load;
mod log;
mod middleware;
mod node;
mod notifications;
mod origin;
mod parse;
mod policy;
mod proxy;
mod redis;
mod renew;
mod scalar;
mod schema;
mod secret;
mod secrets;
mod selection;
mod show;
mod slips;
mod source;
mod storage;
mod suggest;
mod unsupported;
mod validate;
mod values;
mod version;
mod weaker;

pub use auth::{AuthConfig, HtpasswdConfig, KeySetPlace, SigningAlgorithm, SillyConfig, TokenConfig};
pub use de::NodeError;
pub use diagnostic::Diagnostic;
pub use distribution::{ForDistribution, for_distribution};
pub use environment::Environment;
pub use error::ConfigError;
pub use gc::GcConfig;
pub use health::{DiskSpaceCheck, FileCheck, HealthConfig, HttpCheck, StorageDriverCheck, TcpCheck};
pub use http::{
    ClientAuth, DebugConfig, H2cConfig, Http2Config, HttpConfig, LetsEncryptConfig, LimitsConfig, Net,
    PrometheusConfig, TlsConfig, TlsVersion,
};
pub use load::Loaded;
pub use log::{AccessLogConfig, LogConfig, LogFormatter, LogHook, LogLevel, MailOptions, SmtpConfig};
pub use middleware::{Middleware, MiddlewareConfig, RedirectOptions, RewriteOptions, StorageMiddleware};
pub use node::{Entry, Node};
pub use notifications::{EndpointConfig, EventsConfig, IgnoreConfig, NotificationsConfig, QueueConfig};
pub use origin::Origin;
pub use policy::{
    CatalogConfig, IndexesConfig, ManifestsConfig, PlatformConfig, PlatformRule, PolicyConfig,
    RepositoryPolicy, TagsConfig, UrlsConfig, ValidationConfig,
};
pub use proxy::{ExecConfig, ProxyConfig};
pub use redis::{RedisConfig, RedisTls};
pub use schema::driver_parameters;
pub use secret::Secret;
pub use show::show;
pub use source::Source;
pub use storage::{
    CacheConfig, DeleteConfig, DescriptorCacheKind, MaintenanceConfig, ReadOnlyConfig, RedirectConfig,
    Selected, StorageConfig, TagConfig, UploadPurgingConfig,
};
pub use suggest::hint;
pub use values::{
    ByteSize, DailyWindow, ExternalUrl, GoDuration, ListenAddress, PathPrefix, Pattern, ProxyNetwork,
};
pub use version::Version;

/// The whole configuration: pure data, every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The version of the format.
    pub version: Version,
    /// The log.
    pub log: LogConfig,
    /// The store and the rules for its content.
    pub storage: StorageConfig,
    /// Garbage collection in the running registry.
    pub gc: GcConfig,
    /// How clients authenticate.
    pub auth: AuthConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// The recipients of events.
    pub notifications: Option<NotificationsConfig>,
    /// The redis server of the descriptor cache.
    pub redis: Option<RedisConfig>,
    /// Health checks.
    pub health: Option<HealthConfig>,
    /// Middleware; [`Middleware::as_storage`] accepts every entry.
    pub middleware: Option<MiddlewareConfig>,
    /// The pull-through cache; never holds a setting that is not supported.
    pub proxy: Option<ProxyConfig>,
    /// Listings of repositories.
    pub catalog: CatalogConfig,
    /// Listings of tags.
    pub tags: TagsConfig,
    /// The rules for manifests.
    pub validation: ValidationConfig,
    /// The rules for repositories.
    pub policy: PolicyConfig,
}
