//! Compares the table with the typed structs: each key of one is a field of the other.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use super::*;
use crate as c;

#[test]
fn each_key_is_a_field_and_each_field_a_key() {
    check::<c::LogConfig>("log", &[]);
    check::<c::AccessLogConfig>("log.accesslog", &[]);
    check::<c::LogHook>("log.hooks", &[]);
    check::<c::MailOptions>("log.hooks.options", &[]);
    check::<c::SmtpConfig>("log.hooks.options.smtp", &[]);
    check::<c::StorageConfig>("storage", &["filesystem", "inmemory", "s3", "s3aws", "azure", "gcs", "gc"]);
    check::<c::DeleteConfig>("storage.delete", &[]);
    check::<c::RedirectConfig>("storage.redirect", &[]);
    check::<c::CacheConfig>("storage.cache", &["layerinfo"]);
    check::<c::TagConfig>("storage.tag", &[]);
    check::<c::MaintenanceConfig>("storage.maintenance", &[]);
    check::<c::ReadOnlyConfig>("storage.maintenance.readonly", &[]);
    check::<c::UploadPurgingConfig>("storage.maintenance.uploadpurging", &[]);
    check::<c::GcConfig>("gc", &[]);
    check::<c::SillyConfig>("auth.silly", &[]);
    check::<c::HtpasswdConfig>("auth.htpasswd", &[]);
    check::<c::TokenConfig>("auth.token", &[]);
    check::<c::MiddlewareConfig>("middleware", &[]);
    check::<c::Middleware>("middleware.storage", &[]);
    check::<c::HttpConfig>("http", &[]);
    check::<c::TlsConfig>("http.tls", &[]);
    check::<c::LetsEncryptConfig>("http.tls.letsencrypt", &[]);
    check::<c::Http2Config>("http.http2", &[]);
    check::<c::H2cConfig>("http.h2c", &[]);
    check::<c::DebugConfig>("http.debug", &[]);
    check::<c::PrometheusConfig>("http.debug.prometheus", &[]);
    check::<c::LimitsConfig>("http.limits", &[]);
    check::<c::NotificationsConfig>("notifications", &[]);
    check::<c::EventsConfig>("notifications.events", &[]);
    check::<c::EndpointConfig>("notifications.endpoints", &[]);
    check::<c::QueueConfig>("notifications.queue", &[]);
    check::<c::IgnoreConfig>("notifications.endpoints.ignore", &[]);
    check::<c::RedisConfig>("redis", &[]);
    check::<c::RedisTls>("redis.tls", &[]);
    check::<c::HealthConfig>("health", &[]);
    check::<c::StorageDriverCheck>("health.storagedriver", &[]);
    check::<c::DiskSpaceCheck>("health.diskspace", &[]);
    check::<c::FileCheck>("health.file", &[]);
    check::<c::HttpCheck>("health.http", &[]);
    check::<c::TcpCheck>("health.tcp", &[]);
    check::<c::CatalogConfig>("catalog", &[]);
    check::<c::TagsConfig>("tags", &[]);
    check::<c::ProxyConfig>("proxy", &[]);
    check::<c::ExecConfig>("proxy.exec", &[]);
    check::<c::ValidationConfig>("validation", &[]);
    check::<c::ManifestsConfig>("validation.manifests", &[]);
    check::<c::UrlsConfig>("validation.manifests.urls", &[]);
    check::<c::IndexesConfig>("validation.manifests.indexes", &[]);
    check::<c::PlatformConfig>("validation.manifests.indexes.platformlist", &[]);
    check::<c::PolicyConfig>("policy", &[]);
    check::<c::RepositoryPolicy>("policy.repository", &[]);
}

#[test]
fn defaults_fit_their_own_type() {
    each_leaf(&ROOT, "", &mut |key, path| {
        let Some(default) = key.default else { return };
        let node = c::parse::parse(default, &|_, _| c::Origin::Default).unwrap().root;
        match key.kind {
            Kind::Leaf(reads) => assert!(reads(&node).is_ok(), "{path}: {default}"),
            Kind::Duration => assert!(node.read::<c::values::GoDuration>().is_ok(), "{path}: {default}"),
            _ => panic!("{path} is no leaf and has a default"),
        }
    });
}

#[test]
fn each_key_is_in_the_documentation() {
    let page = include_str!("../../../docs/configuration.md");
    let documented: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut missing = Vec::new();
    each_leaf(&ROOT, "", &mut |key, path| {
        // The drivers document their own parameters, and redis has a list.
        let inside = ["storage.s3aws.", "storage.s3.", "storage.azure.", "storage.gcs.", "redis."];
        if inside.iter().any(|prefix| path.starts_with(prefix)) {
            return;
        }
        if !documented.contains(path) {
            missing.push(format!("{path} ({:?})", key.default));
        }
    });
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:#?}");
}

/// Compares the keys of the section at `path` with the fields of `T`, except for the `extra` keys.
#[track_caller]
fn check<T: DeserializeOwned>(path: &str, extra: &[&str]) {
    let keys: BTreeSet<&str> =
        keys_at(path).into_iter().filter(|name| !name.is_empty() && !extra.contains(name)).collect();
    let fields: BTreeSet<&str> = fields::<T>().iter().copied().collect();
    assert_eq!(keys, fields, "{path}");
}

fn keys_at(path: &str) -> Vec<&'static str> {
    let mut kind = ROOT;
    for part in path.split('.') {
        let keys = keys_of(&kind);
        kind = keys.iter().find(|key| key.yaml == part).unwrap_or_else(|| panic!("{path}")).kind;
    }
    keys_of(&kind).iter().map(|key| key.yaml).collect()
}

fn keys_of(kind: &Kind) -> Vec<&'static Key> {
    match kind {
        Kind::Section(keys) | Kind::Optional(keys) | Kind::Parameters(keys) => keys.iter().collect(),
        Kind::Choice(choice) => choice.keys().collect(),
        Kind::List(item) => keys_of(item),
        Kind::Leaf(_) | Kind::Duration | Kind::Map(_) | Kind::Any => Vec::new(),
    }
}

fn each_leaf(kind: &Kind, path: &str, visit: &mut dyn FnMut(&Key, &str)) {
    for key in keys_of(kind).iter().filter(|key| !key.yaml.is_empty()) {
        let path = c::diagnostic::child(path, key.yaml);
        if keys_of(&key.kind).is_empty() {
            visit(key, &path);
        } else {
            each_leaf(&key.kind, &path, visit);
        }
    }
}

/// The names that the `Deserialize` of a struct expects.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Probe) {
        Ok(_) => &[],
        Err(Fields(fields)) => fields,
    }
}

struct Probe;

#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Fields {}

impl de::Error for Fields {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Fields;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fields> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
