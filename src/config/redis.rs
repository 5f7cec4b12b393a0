//! The section `redis`: the server of the descriptor cache.

use std::path::PathBuf;
use std::time::Duration;

use super::findings::Findings;
use super::key::{Effect, Key, Kind};
use super::section::section;
use super::{Node, Origin, Secret};

section! {
    /// The address and the credentials of a redis server.
    pub struct RedisConfig {
        // Go inlines the options of its client, which has many more.
        key Key::new("", Kind::Any).field("OPTIONS"),
        /// One `host:port`, or the path of a socket; with several, or a `mastername`, nothing is cached and a warning says so.
        pub addrs: Vec<String>; default_meaning("required"),
        key Key::of::<Option<String>>("clientname").idle(),
        /// The number of the database.
        pub db: Option<i64>; default_meaning("`0`"),
        /// 3 for RESP3.
        pub protocol: Option<i64>; default_meaning("`2`"),
        /// The user name.
        pub username: Option<String>,
        /// The password.
        pub password: Option<Secret<String>>,
        key Key::of::<Option<String>>("sentinelusername").idle(),
        key Key::of::<Option<Secret<String>>>("sentinelpassword").idle(),
        /// The name of the master at the sentinels.
        pub mastername: Option<String>; idle,
        key Key::of::<Option<i64>>("maxretries").idle(),
        key Key::of::<Option<Duration>>("minretrybackoff").idle(),
        key Key::of::<Option<Duration>>("maxretrybackoff").idle(),
        /// How long connecting may take.
        pub dialtimeout: Option<Duration>; default_meaning("`500ms`"),
        /// How long an answer may take.
        pub readtimeout: Option<Duration>; default_meaning("`500ms`"),
        key Key::of::<Option<Duration>>("writetimeout").idle(),
        key Key::of::<Option<bool>>("contexttimeoutenabled").idle(),
        key Key::of::<Option<bool>>("poolfifo").idle(),
        key Key::of::<Option<i64>>("poolsize").idle(),
        key Key::of::<Option<Duration>>("pooltimeout").idle(),
        key Key::of::<Option<i64>>("minidleconns").idle(),
        key Key::of::<Option<i64>>("maxidleconns").idle(),
        key Key::of::<Option<i64>>("maxactiveconns").idle(),
        key Key::of::<Option<Duration>>("connmaxidletime").idle(),
        key Key::of::<Option<Duration>>("connmaxlifetime").idle(),
        key Key::of::<Option<i64>>("maxredirects").idle(),
        key Key::of::<Option<bool>>("readonly").idle(),
        key Key::of::<Option<bool>>("routebylatency").idle(),
        key Key::of::<Option<bool>>("routerandomly").idle(),
        key Key::of::<Option<bool>>("disableidentity").idle(),
        key Key::of::<Option<String>>("identitysuffix").idle(),
        key Key::of::<Option<bool>>("unstableresp3").idle(),
        /// Certificates; with the section, the connection is TLS.
        pub tls: Option<RedisTls>; never_blank(
            "give `rootcas`, the authorities of the server, or remove the section and its variables to connect without TLS"
        ),
    }
}

section! {
    /// `redis.tls`. With the section, the connection is TLS.
    pub struct RedisTls {
        /// The client's certificate, a PEM file.
        pub certificate: Option<PathBuf>,
        /// Its key, a PEM file.
        pub key: Option<PathBuf>,
        /// Authorities that may sign the server's certificate, PEM files.
        pub rootcas: Vec<PathBuf>; default_meaning("the system's authorities"),
    }
}

impl RedisConfig {
    /// The address, if there is exactly one.
    pub fn server(&self) -> Option<&str> {
        match &*self.addrs {
            [address] if self.mastername.is_none() => Some(address),
            _ => None,
        }
    }

    /// Checks the section of a registry that uses it.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        if self.addrs.is_empty() {
            found.mistake("redis.addrs", "has no server; give `addrs: [HOST:PORT]`");
        } else if self.server().is_none() {
            found.warning(
                "redis.addrs",
                "clusters and sentinels are not supported: the registry caches no descriptors there, which costs speed but \
                 no correctness; give the address of one server",
            );
        }
        if let Some(tls) = &self.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            found.mistake("redis.tls", "`certificate` and `key` go together");
        }
        for entry in found.tree.at("redis").map(Node::entries).unwrap_or_default() {
            let key = Self::KEYS.iter().find(|key| key.yaml == entry.key);
            if key.is_some_and(|key| matches!(key.effect, Effect::Idle))
                && entry.value.origin != Origin::Default
            {
                let message = "has no effect: one connection carries everything";
                found.warning(&format!("redis.{}", entry.key), message);
            }
        }
    }
}
