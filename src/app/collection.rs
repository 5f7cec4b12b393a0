//! Makes the settings of the garbage collector from the configuration.

use sampan_config::Config;

use crate::maintenance::{Schedule, Settings};

/// When and how the registry of `config` collects garbage.
pub(super) fn settings(config: &Config) -> Settings {
    let (gc, uploads) = (&config.gc, &config.storage.maintenance.uploadpurging);
    Settings {
        schedule: gc.enabled.then_some(Schedule { interval: gc.interval, window: gc.window }),
        grace: gc.grace_period(),
        delete_untagged: gc.untagged,
        max_delete_percent: gc.max_delete_percent(),
        // A dry run of purging means to keep the uploads.
        upload_age: (uploads.enabled && !uploads.dryrun).then_some(uploads.age),
    }
}
