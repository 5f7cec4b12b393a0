//! The configuration file, `REGISTRY_*` variables and defaults: Distribution's `config.yml`, key for key.
//!
//! Four stages that never mix: text and environment → merged tree, each value with its origin → [`Config`], pure data →
//! checked for what no key can say alone. Building things from it is the business of others.
//! Absent on purpose: what a driver's parameters mean (the driver says), and reading the environment of the process, which
//! only [`Environment::of_process`] does.

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
pub use node::Node;
pub use notifications::{EndpointConfig, EventsConfig, IgnoreConfig, NotificationsConfig, QueueConfig};
pub use origin::Origin;
pub use policy::{
    CatalogConfig, IndexesConfig, ManifestsConfig, PlatformConfig, PlatformRule, PolicyConfig,
    RepositoryPolicy, TagsConfig, UrlsConfig, ValidationConfig,
};
pub use proxy::{ExecConfig, ProxyConfig};
pub use redis::{RedisConfig, RedisTls};
pub use secret::Secret;
pub use show::show;
pub use source::Source;
pub use storage::{
    CacheConfig, DeleteConfig, DescriptorCacheKind, MaintenanceConfig, ReadOnlyConfig, RedirectConfig,
    Selected, StorageConfig, TagConfig, UploadPurgingConfig,
};
pub(crate) use values::GoDuration;
pub use values::{ByteSize, DailyWindow, ExternalUrl, ListenAddress, PathPrefix, Pattern, ProxyNetwork};
pub use version::Version;

pub(crate) use suggest::hint;

/// The whole configuration: pure data, every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The version of the format.
    pub version: Version,
    /// What is logged.
    pub log: LogConfig,
    /// Where content is kept.
    pub storage: StorageConfig,
    /// The collection of garbage while the registry runs.
    pub gc: GcConfig,
    /// How clients are known.
    pub auth: AuthConfig,
    /// How the registry is reached.
    pub http: HttpConfig,
    /// Whom to tell.
    pub notifications: Option<NotificationsConfig>,
    /// The redis server of the descriptor cache.
    pub redis: Option<RedisConfig>,
    /// Health checks.
    pub health: Option<HealthConfig>,
    /// Middleware; never asks for anything but what [`Middleware::as_storage`] knows.
    pub middleware: Option<MiddlewareConfig>,
    /// The pull-through cache; never asks for anything that is not served.
    pub proxy: Option<ProxyConfig>,
    /// The catalogue of repositories.
    pub catalog: CatalogConfig,
    /// The lists of tags.
    pub tags: TagsConfig,
    /// What manifests may hold.
    pub validation: ValidationConfig,
    /// What repositories may hold.
    pub policy: PolicyConfig,
}
