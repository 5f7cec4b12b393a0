//! The configuration file, `REGISTRY_*` variables and defaults: Distribution's `config.yml`, key for key.
//!
//! Four stages that never mix: text and environment → merged tree, each value with its origin → [`Config`], pure data →
//! checks across keys. A key is declared once, in the file of its section (`section.rs` says how). The binary builds things
//! from the data. Absent on purpose: the meaning of a driver's parameters, which the driver knows, and reads of the process
//! environment, which only [`Environment::of_process`] does.

mod access;
mod access_groups;
mod access_rules;
mod audit;
mod auth;
#[cfg(test)]
mod checked;
mod constraint;
mod de;
mod defaults;
mod diagnostic;
mod distribution;
#[cfg(test)]
mod documentation;
mod drivers;
mod environment;
mod error;
mod findings;
mod gc;
mod health;
#[cfg(test)]
mod hostile_tests;
mod http;
mod image_list;
mod key;
mod load;
mod log;
mod middleware;
mod node;
mod notifications;
mod origin;
mod parse;
mod policy;
mod policy_file;
mod proxy;
mod redis;
mod regular_file;
mod renew;
mod root;
mod scalar;
mod secret;
mod secrets;
mod section;
mod selection;
mod show;
mod slips;
mod source;
mod storage;
mod suggest;
mod sync;
mod ui;
mod unserved;
mod validate;
mod values;
mod verify;
mod version;
mod weaker;

pub use access::{AccessConfig, AccessTokensConfig, CertificateName, CertificatesConfig};
pub use access_groups::{Group, Groups};
pub use access_rules::{AccessRule, AccessRules, OneOrMore, Permission, Who};
pub use audit::AuditConfig;
pub use auth::{AuthConfig, HtpasswdConfig, KeySetPlace, SigningAlgorithm, SillyConfig, TokenConfig};
pub use de::NodeError;
pub use diagnostic::Diagnostic;
pub use distribution::{ForDistribution, for_distribution};
pub use drivers::driver_parameters;
pub use environment::Environment;
pub use error::ConfigError;
pub use gc::GcConfig;
pub use health::{DiskSpaceCheck, FileCheck, HealthConfig, HttpCheck, StorageDriverCheck, TcpCheck};
pub use http::{
    ClientAuth, DebugConfig, H2cConfig, Http2Config, HttpConfig, LimitsConfig, Net, PrometheusConfig,
    TlsConfig, TlsVersion,
};
pub use image_list::{ListedImage, read_image_list};
pub use load::Loaded;
pub use log::{AccessLogConfig, LogConfig, LogFormatter, LogLevel};
pub use middleware::{Middleware, MiddlewareConfig, RedirectOptions, RewriteOptions, StorageMiddleware};
pub use node::{Entry, Node};
pub use notifications::{EndpointConfig, EventsConfig, IgnoreConfig, NotificationsConfig, QueueConfig};
pub use origin::{Origin, ValueOrigin};
pub use policy::{
    CatalogConfig, IndexesConfig, ManifestsConfig, PlatformConfig, PlatformRule, PolicyConfig,
    RepositoryPolicy, TagsConfig, UrlsConfig, ValidationConfig,
};
pub use policy_file::{LoadedPolicy, MAX_POLICY_BYTES, PolicyFileError, load_policy_file, parse_policy};
pub use proxy::{
    CacheUpstream, ProxyConfig, ProxyExecConfig, UpstreamAccount, UpstreamConfig, UpstreamRepositories,
    UpstreamTags, UpstreamTimeouts, WhenGone,
};
pub use redis::{RedisConfig, RedisTls};
pub use regular_file::{RegularFileError, read_regular_file};
pub use root::Config;
pub use secret::Secret;
pub use show::show;
pub use source::Source;
pub use storage::{
    CacheConfig, DeleteConfig, DescriptorCacheKind, MaintenanceConfig, ReadOnlyConfig, RedirectConfig,
    Selected, StorageConfig, TagConfig, UploadPurgingConfig,
};
pub use suggest::hint;
pub use sync::{SyncJob, SyncRepository, SyncTags};
pub use ui::{UiConfig, UiLanguage};
pub use values::{
    ByteSize, DailyWindow, ExternalUrl, GoDuration, ListenAddress, PageSize, PathPrefix, Pattern,
    ProxyNetwork, RegistryHost, RegistryUrl, RepositoryPath, RepositoryPattern, VersionRange,
};
pub use verify::VerifyConfig;
pub use version::Version;
