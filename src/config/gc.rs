//! The section `gc`: the collection of garbage while the registry runs. Ours; Distribution cannot do that.

use std::time::Duration;

use serde::Deserialize;

use super::GoDuration;
use super::values::{DailyWindow, duration};

/// When and what the running registry collects.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GcConfig {
    /// Whether the running registry collects.
    pub enabled: bool,
    /// From the beginning of one collection to that of the next.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// When in the day a collection may run; none means at any time.
    pub window: Option<DailyWindow>,
    grace: Option<GoDuration>,
    /// Whether manifests go that no tag, index or subject reaches.
    pub untagged: bool,
    /// How much of all bytes of blobs a collection deletes unasked, in per cent.
    pub maxdeletepercent: u32,
}

impl GcConfig {
    /// How much of all bytes of blobs a collection deletes unasked, in per cent.
    pub fn max_delete_percent(&self) -> u8 {
        u8::try_from(self.maxdeletepercent).map_or(100, |percent| percent.min(100))
    }

    /// What is younger stays.
    pub fn grace(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        self.grace.map_or(DAY, |grace| grace.0)
    }

    /// What a running registry has to promise by: the grace, if somebody collects here, be it the registry itself or, as a
    /// grace that is set says, somebody else.
    pub fn promised_grace(&self) -> Option<Duration> {
        (self.enabled || self.grace.is_some()).then(|| self.grace())
    }
}
