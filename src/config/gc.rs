//! The section `gc`: garbage collection in the running registry. Distribution has no such section.

use std::time::Duration;

use serde::Deserialize;

use super::GoDuration;
use super::values::{DailyWindow, duration};

/// When the running registry collects garbage, and which garbage.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GcConfig {
    /// Whether the running registry collects.
    pub enabled: bool,
    /// The time from the start of one collection to the start of the next.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The part of the day in which a collection may run; `None` means any time.
    pub window: Option<DailyWindow>,
    grace: Option<GoDuration>,
    /// Whether to delete manifests that no tag, index or subject reaches.
    pub untagged: bool,
    /// The largest share of all blob bytes that a collection may delete, in percent.
    pub maxdeletepercent: u32,
}

impl GcConfig {
    /// The largest share of all blob bytes that a collection may delete, in percent.
    pub fn max_delete_percent(&self) -> u8 {
        u8::try_from(self.maxdeletepercent).map_or(100, |percent| percent.min(100))
    }

    /// Blobs and manifests that are younger are kept.
    pub fn grace(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        self.grace.map_or(DAY, |grace| grace.0)
    }

    /// The grace period for the leases of a running registry. `None` if no collector is known: the registry does not collect,
    /// and no configured grace period says that another process does.
    pub fn promised_grace(&self) -> Option<Duration> {
        (self.enabled || self.grace.is_some()).then(|| self.grace())
    }
}
