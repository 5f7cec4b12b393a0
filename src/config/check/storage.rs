//! Checks `storage` and `gc`. The driver checks its own parameters.

use std::time::Duration;

use super::diagnostics::Diagnostics;
use crate::{GcConfig, StorageConfig};

impl Diagnostics<'_> {
    pub(super) fn storage(&mut self, storage: &StorageConfig) {
        let purging = &storage.maintenance.uploadpurging;
        for (key, value) in [("age", purging.age), ("interval", purging.interval)] {
            if purging.enabled && value.is_zero() {
                self.mistake(
                    &format!("storage.maintenance.uploadpurging.{key}"),
                    "must be longer than zero; to stop purging set `enabled: false`".to_owned(),
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
                "must be longer than zero, since a push may be running; the default is 24h".to_owned(),
            );
        } else if gc.enabled && gc.grace() < SHORT {
            self.warning(
                "gc.grace",
                "is short: if a push pauses for more than half of it, a collection may delete the content that was pushed",
            );
        }
        if gc.maxdeletepercent > 100 {
            self.mistake("gc.maxdeletepercent", "is a percentage: 100 at most".to_owned());
        }
        if !gc.enabled && !chosen && self.tree.at("gc.window").is_some() {
            self.warning("gc.window", "has no effect without `enabled: true`");
        }
    }
}
