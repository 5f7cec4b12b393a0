//! From the configuration to the collector of garbage.

use crate::config::Config;
use crate::gc_schedule::{Schedule, Settings};

/// How the running registry that `config` describes collects.
pub(super) fn settings(config: &Config) -> Settings {
    let (gc, uploads) = (&config.gc, &config.storage.maintenance.uploadpurging);
    Settings {
        schedule: gc.enabled.then_some(Schedule { interval: gc.interval, window: gc.window }),
        grace: gc.grace(),
        delete_untagged: gc.untagged,
        max_delete_percent: gc.max_delete_percent(),
        // A dry run of the purging is a wish to keep them.
        upload_age: (uploads.enabled && !uploads.dryrun).then_some(uploads.age),
    }
}
