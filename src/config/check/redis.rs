//! Checks `redis`, and the cache that needs it.

use super::diagnostics::Diagnostics;
use crate::{Config, DescriptorCacheKind, Node, Origin, RedisConfig};

impl Diagnostics<'_> {
    pub(super) fn redis(&mut self, config: &Config) {
        let wanted = config.storage.cache.blobdescriptor == Some(DescriptorCacheKind::Redis);
        let Some(redis) = &config.redis else {
            if wanted {
                let message = "needs the section `redis`, with `addrs: [HOST:PORT]`".to_owned();
                self.mistake("storage.cache.blobdescriptor", message);
            }
            return;
        };
        if !wanted {
            return self.warning("redis", "has no effect without `storage.cache.blobdescriptor: redis`");
        }
        if redis.addrs.is_empty() {
            self.mistake("redis.addrs", "has no server; give `addrs: [HOST:PORT]`".to_owned());
        } else if redis.server().is_none() {
            self.warning(
                "redis.addrs",
                "clusters and sentinels are not supported: the registry caches no descriptors there, which costs speed but \
                 no correctness; give the address of one server",
            );
        }
        if let Some(tls) = &redis.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            self.mistake("redis.tls", "`certificate` and `key` go together".to_owned());
        }
        let given = self.tree.at("redis").map(Node::entries).unwrap_or_default();
        let idle = given.iter().filter(|entry| {
            !RedisConfig::SERVED.contains(&entry.key.as_str())
                && !entry.value.is_null()
                && entry.value.origin != Origin::Default
        });
        for key in idle.map(|entry| entry.key.clone()).collect::<Vec<_>>() {
            self.warning(&format!("redis.{key}"), "has no effect: one connection carries everything");
        }
    }
}
