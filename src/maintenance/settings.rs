//! `Settings`: the settings of collections in a running registry.

use std::time::Duration;

use sampan_engine::gc;
use tokio_util::sync::CancellationToken;

use super::{Schedule, Trigger};

/// The settings of collections in a running registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The schedule; `None` to collect on request only.
    pub schedule: Option<Schedule>,
    /// The scheduled collections.
    pub scope: gc::Scope,
    /// The eviction from caches of other registries; `None` for nothing.
    pub evict: Option<gc::Eviction>,
    /// The grace period. The registry must have the same.
    pub grace: Duration,
    /// Whether to delete untagged manifests.
    pub delete_untagged: bool,
    /// The most of all blob bytes to delete without a confirmation, in percent.
    pub max_delete_percent: u8,
    /// Deletes uploads that have been idle for this long; `None` deletes none.
    pub upload_age: Option<Duration>,
}

/// The number of files to read concurrently: few, because requests need the disk too.
const CONCURRENCY: usize = 4;

/// The rest for every second of work, in seconds.
const REST_PER_WORK: f32 = 1.0;

impl Settings {
    pub(super) fn options(&self, trigger: Trigger, stop: &CancellationToken) -> gc::Options {
        gc::Options {
            dry_run: trigger == Trigger::DryRun,
            scope: match trigger {
                Trigger::Schedule => self.scope,
                Trigger::Request | Trigger::DryRun => gc::Scope::All,
                Trigger::Caches => gc::Scope::Caches,
            },
            evict: self.evict.clone(),
            delete_untagged: self.delete_untagged,
            grace: self.grace,
            max_delete_percent: self.max_delete_percent,
            upload_age: self.upload_age,
            concurrency: CONCURRENCY,
            rest: REST_PER_WORK,
            stop: stop.clone(),
            ..gc::Options::default()
        }
    }
}
