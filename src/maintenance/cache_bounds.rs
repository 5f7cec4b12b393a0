//! When the caches of other registries have to be collected before their time: they store more than they may, or have no room.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use sampan_engine::gc::LastRun;
use tokio::time::{Instant, sleep};

use super::Settings;
use super::runner::Collector;

impl Collector {
    /// Waits until the caches store more than they may, by what all replicas know, or have no room for what they are asked for.
    pub(super) async fn caches_exceed_bounds(&self, settings: &Settings, rested: Instant) {
        let is_read_only = || self.registry.limits().read_only;
        let Some(evict) = settings.evict.as_ref().filter(|_| !is_read_only()) else { return pending().await };
        let is_offline = || (self.is_offline.0)();
        let bytes = self.registry.cache_bytes();
        let mut is_known = false;
        loop {
            if !is_known || bytes.exceeds(evict) || bytes.wants_room() {
                // Another replica may have collected meanwhile.
                if let Some(last) = LastRun::of(&self.registry).await.ok().flatten() {
                    bytes.learn(&last);
                }
                is_known = true;
            }
            let is_due = bytes.exceeds(evict) || bytes.wants_room();
            if is_due && !is_offline() && Instant::now() >= rested + bytes.rest(evict) {
                return;
            }
            sleep(CHECK_INTERVAL).await;
        }
    }
}

/// Whether caches are offline.
pub(super) struct IsOffline(pub(super) Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for IsOffline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)().fmt(f)
    }
}

/// How often the bytes of caches are compared with their bounds.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
