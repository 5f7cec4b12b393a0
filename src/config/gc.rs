//! The section `gc`: garbage collection in the running registry. At the top of the file, since Distribution refuses unknown
//! keys of `storage`.

use std::time::Duration;

use super::findings::Findings;
use super::section::section;
use super::values::DailyWindow;

section! {
    /// When the running registry collects garbage, and which garbage.
    pub struct GcConfig {
        /// Collects garbage while the registry runs.
        pub enabled: bool = "false",
        /// From the beginning of one collection to that of the next; `0s` means one after the other.
        pub interval: Duration = "24h",
        /// The part of each day in which a collection may run, in UTC, such as `02:00-05:00` or `22:00-04:00`; a collection that
        /// has not ended when it closes is stopped.
        pub window: Option<DailyWindow>,
        /// The collector keeps younger content. Without `enabled`, the key means that another process collects the store.
        pub grace: Option<Duration>; default_meaning("`24h`"),
        /// Also collects manifests that no tag, index or subject reaches.
        pub untagged: bool = "false",
        /// A collection that would delete more of all bytes of blobs deletes nothing and says so, until it is confirmed with
        /// `registry garbage-collect --yes`; `100` never asks. Less than 16 MiB is deleted without asking.
        pub maxdeletepercent: u32 = "50",
    }
}

impl GcConfig {
    /// The largest share of all blob bytes that a collection may delete, in percent.
    pub fn max_delete_percent(&self) -> u8 {
        u8::try_from(self.maxdeletepercent).map_or(100, |percent| percent.min(100))
    }

    /// Blobs and manifests that are younger are kept.
    pub fn grace_period(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        self.grace.unwrap_or(DAY)
    }

    /// The grace period for the leases of a running registry. `None` if no collector is known: the registry does not collect,
    /// and no configured grace period says that another process does.
    pub fn lease_grace(&self) -> Option<Duration> {
        (self.enabled || self.grace.is_some()).then(|| self.grace_period())
    }

    /// Checks the grace period and what needs `enabled`.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        const SHORT: Duration = Duration::from_secs(10 * 60);
        if self.grace_period().is_zero() {
            found.mistake(
                "gc.grace",
                "must be longer than zero, since a push may be running; the default is 24h",
            );
        } else if self.enabled && self.grace_period() < SHORT {
            found.warning(
                "gc.grace",
                "is short: if a push pauses for more than half of it, a collection may delete the content that was pushed",
            );
        }
        if self.maxdeletepercent > 100 {
            found.mistake("gc.maxdeletepercent", "is a percentage: 100 at most");
        }
        if !self.enabled && self.grace.is_none() && self.window.is_some() {
            found.warning("gc.window", "has no effect without `enabled: true`");
        }
    }
}
