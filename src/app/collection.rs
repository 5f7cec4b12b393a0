//! Makes the settings of the garbage collector from the configuration.

use std::collections::HashMap;
use std::time::Duration;

use sampan_config::Config;
use sampan_engine::gc::{Eviction, Scope};

use crate::maintenance::{Schedule, Settings};

/// From one collection of the caches to the next, where no others are scheduled.
const CACHES_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// When and how the registry of `config` collects garbage.
pub(super) fn settings(config: &Config) -> Settings {
    let (gc, uploads) = (&config.gc, &config.storage.maintenance.uploadpurging);
    let evict = bounds(config);
    let schedule = match (&evict, gc.enabled) {
        (_, true) => Some(Schedule { interval: gc.interval, window: gc.window }),
        (Some(_), false) => Some(Schedule { interval: CACHES_INTERVAL, window: None }),
        (None, false) => None,
    };
    Settings {
        schedule,
        scope: if gc.enabled { Scope::All } else { Scope::Caches },
        evict,
        grace: gc.grace_period(),
        delete_untagged: gc.untagged,
        max_delete_percent: gc.max_delete_percent(),
        // A dry run of purging means to keep the uploads.
        upload_age: (uploads.enabled && !uploads.dryrun).then_some(uploads.age),
    }
}

/// The eviction of a collection by a command from the caches of other registries; `None` if there are no caches, or they are offline.
pub fn eviction(config: &Config) -> Option<Eviction> {
    bounds(config).filter(|_| config.proxy.as_ref().is_some_and(|proxy| !proxy.offline))
}

/// The bounds of the caches of other registries; `None` if there are no caches. A running registry may be offline for a while.
pub(super) fn bounds(config: &Config) -> Option<Eviction> {
    let proxy = config.proxy.as_ref().filter(|proxy| proxy.is_cache())?;
    let bounds = proxy.resolved_upstreams().into_iter().filter_map(|upstream| {
        // The bound of one that is the whole registry is that of all.
        Some((upstream.prefix?, upstream.maxsize?))
    });
    let max_bytes_below: HashMap<String, u64> = bounds.collect();
    Some(Eviction {
        ttl: proxy.expiry(),
        max_bytes: proxy.max_size_bytes(),
        max_bytes_below,
        ..Eviction::default()
    })
}
