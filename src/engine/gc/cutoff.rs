//! `Cutoff`: decides by date which files are young, and which are dated in the future.

use std::time::{Duration, SystemTime};

use crate::Clock;
use crate::tag_removal::FORGOTTEN;

/// Classifies files by their date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutoff {
    /// A file modified later is young.
    young: SystemTime,
    /// A deletion whose notice was written later may still be carried out.
    pending: SystemTime,
    /// A file modified later has a wrong date.
    future: SystemTime,
    /// Whether there is a grace period. Without one no client writes to the store, so a wrong date is no reason to keep
    /// anything.
    has_grace: bool,
    /// A link in a cache modified later is young, if caches have a grace period of their own.
    young_in_cache: Option<SystemTime>,
}

/// How far a date may be in the future: further than well-kept clocks ever differ.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

impl Cutoff {
    pub(super) fn new(clock: &Clock, grace: Duration) -> Self {
        let now = clock.now();
        let future = now.checked_add(MAX_CLOCK_SKEW).unwrap_or(now);
        let pending = clock.ago(grace.max(FORGOTTEN));
        let young = clock.ago(grace);
        Self { young, pending, future, has_grace: !grace.is_zero(), young_in_cache: None }
    }

    /// Gives the links in caches a grace period of their own. It is no longer than the other.
    pub(super) fn with_caches(self, clock: &Clock, grace: Duration) -> Self {
        Self { young_in_cache: Some(clock.ago(grace).max(self.young)), ..self }
    }

    /// Whether a link in a cache is too young for deletion.
    pub(super) fn is_young_in_cache(self, modified: SystemTime) -> bool {
        self.is_young(modified) && self.young_in_cache.is_none_or(|young| modified > young)
    }

    /// Whether caches have a grace period of their own.
    pub(super) fn has_caches(self) -> bool {
        self.young_in_cache.is_some()
    }

    /// Whether a file of that date is too young for deletion.
    pub(super) fn is_young(self, modified: SystemTime) -> bool {
        modified > self.young && (self.has_grace || !self.is_future(modified))
    }

    /// Whether a deletion whose notice was written then may still be carried out, however short the grace period is.
    pub(super) fn is_pending(self, announced: SystemTime) -> bool {
        announced > self.pending && !self.is_future(announced)
    }

    /// Whether the date comes from a wrong clock.
    pub(super) fn is_future(self, modified: SystemTime) -> bool {
        modified > self.future
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dated_in_the_future_is_young_unless_there_is_no_grace() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let clock = Clock::new(move || now);
        let hour = Duration::from_secs(3600);
        for (grace, years_ahead, just_now, hours_ago) in
            [(Duration::ZERO, false, true, false), (2 * hour, true, true, true), (hour, true, true, false)]
        {
            let cutoff = Cutoff::new(&clock, grace);
            assert_eq!(cutoff.is_young(now + 10_000 * hour), years_ahead, "{grace:?}");
            assert_eq!(cutoff.is_young(now + hour / 2), just_now, "{grace:?}");
            assert_eq!(cutoff.is_young(now - hour), hours_ago, "{grace:?}");
            assert!(cutoff.is_future(now + 10_000 * hour) && !cutoff.is_future(now + hour / 2));
        }
    }

    #[test]
    fn an_announced_deletion_is_pending_for_a_quarter_of_an_hour_at_least() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let clock = Clock::new(move || now);
        let minute = Duration::from_secs(60);
        for (grace, fifteen, sixteen, hour) in
            [(0, true, false, false), (1, true, false, false), (2 * 60, true, true, true)]
        {
            let cutoff = Cutoff::new(&clock, grace * minute);
            for (age, pending) in [(15, fifteen), (16, sixteen), (60, hour)] {
                assert_eq!(cutoff.is_pending(now - age * minute), pending, "{grace} {age}");
            }
            assert!(!cutoff.is_pending(now + 1000 * minute));
        }
    }
}
