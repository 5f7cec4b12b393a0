//! `storage` and `gc`: what is said about its upkeep. What a driver's parameters mean, the driver says.

use std::time::Duration;

use super::diagnostics::Diagnostics;
use crate::config::{GcConfig, StorageConfig};

impl Diagnostics<'_> {
    pub(super) fn storage(&mut self, storage: &StorageConfig) {
        let purging = &storage.maintenance.uploadpurging;
        for (key, value) in [("age", purging.age), ("interval", purging.interval)] {
            if purging.enabled && value.is_zero() {
                self.mistake(
                    &format!("storage.maintenance.uploadpurging.{key}"),
                    "must be longer than nothing; to stop purging set `enabled: false`".to_owned(),
                );
            }
        }
    }

    pub(super) fn collection(&mut self, gc: &GcConfig) {
        const SHORT: Duration = Duration::from_secs(10 * 60);
        let chosen = self.tree.at("gc.grace").is_some();
        if gc.grace().is_zero() {
            self.mistake(
                "gc.grace",
                "must be longer than nothing, since a push may be going on; the default is 24h".to_owned(),
            );
        } else if gc.enabled && gc.grace() < SHORT {
            self.warning(
                "gc.grace",
                "is short: a push that pauses for more than half of it may find what it has sent collected",
            );
        }
        if gc.maxdeletepercent > 100 {
            self.mistake("gc.maxdeletepercent", "is a share of the store: 100 at most".to_owned());
        }
        if !gc.enabled && !chosen && self.tree.at("gc.window").is_some() {
            self.warning("gc.window", "has no effect without `enabled: true`");
        }
    }
}
