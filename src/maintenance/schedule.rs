//! `Schedule`: when the next collection is due. Pure functions.

use std::time::{Duration, SystemTime};

use sampan_config::DailyWindow;

/// When collections run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The time from the start of one collection to the start of the next; zero for no pause.
    pub interval: Duration,
    /// The part of each day in which they may run; `None` for all day.
    pub window: Option<DailyWindow>,
}

/// The longest random delay of a collection, so that replicas do not start together.
const MAX_JITTER: Duration = Duration::from_secs(10 * 60);

impl Schedule {
    /// The time until the next collection is due, if the last one started at `last`.
    pub fn wait(&self, last: Option<SystemTime>, now: SystemTime) -> Duration {
        let after = match self.window {
            None => self.interval,
            // A daily collection may come a little early. Otherwise each would come a little later than the
            // previous one, until it misses the window.
            Some(window) => self.interval - (self.interval / 10).min(window.length()),
        };
        // A time in the future comes from a clock that was wrong, possibly by years: then that long ago.
        let since = last.map(|last| now.duration_since(last).unwrap_or_else(|error| error.duration()));
        let due = since.map_or(Duration::ZERO, |since| after.saturating_sub(since));
        due + self.window.map_or(Duration::ZERO, |window| window.opens_in(now + due))
    }

    /// The time until a collection must have ended; `None` without a window.
    pub fn ends_in(&self, now: SystemTime) -> Option<Duration> {
        self.window.map(|window| window.open_for(now).unwrap_or_default())
    }

    /// The longest random delay of a collection.
    pub fn jitter(&self) -> Duration {
        let of_window = self.window.map_or(MAX_JITTER, |window| window.length() / 10);
        (self.interval / 10).min(MAX_JITTER).min(of_window)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + 20_000 * 24 * HOUR + hours * HOUR
    }

    #[test]
    fn the_next_is_due_an_interval_after_the_start_of_the_last() {
        let schedule = Schedule { interval: 6 * HOUR, window: None };
        for (last, now, wait) in [
            (None, at(1), Duration::ZERO),
            (Some(at(1)), at(2), 5 * HOUR),
            (Some(at(1)), at(7), Duration::ZERO),
            (Some(at(1)), at(30), Duration::ZERO),
            // Another machine's clock is fast.
            (Some(at(3)), at(2), 5 * HOUR),
            // A clock was years ahead: the next is not due years later.
            (Some(at(30_000)), at(2), Duration::ZERO),
        ] {
            assert_eq!(schedule.wait(last, now), wait, "{last:?} {now:?}");
        }
        assert_eq!(schedule.ends_in(at(1)), None);
    }

    #[test]
    fn a_daily_collection_waits_for_its_window_and_does_not_drift_out_of_it() {
        let schedule = Schedule { interval: 24 * HOUR, window: Some("02:00-05:00".parse().unwrap()) };
        assert_eq!(schedule.wait(None, at(1)), HOUR);
        assert_eq!(schedule.wait(None, at(3)), Duration::ZERO);
        assert_eq!(schedule.wait(None, at(6)), 20 * HOUR);
        // Yesterday it was late; today it is early again.
        assert_eq!(schedule.wait(Some(at(4)), at(12)), 14 * HOUR);
        assert_eq!(schedule.wait(Some(at(4)), at(24 + 2)), Duration::ZERO);
        assert_eq!(schedule.wait(Some(at(4) + HOUR / 2), at(24 + 2)), HOUR / 10);
        assert_eq!(schedule.ends_in(at(3)), Some(2 * HOUR));
        assert_eq!(schedule.ends_in(at(6)), Some(Duration::ZERO));
    }

    #[test]
    fn replicas_are_spread_by_a_tenth_of_everything() {
        let schedule = |hours: u32, window: Option<&str>| Schedule {
            interval: hours * HOUR,
            window: window.map(|window| window.parse().unwrap()),
        };
        assert_eq!(schedule(0, None).jitter(), Duration::ZERO);
        assert_eq!(schedule(1, None).jitter(), HOUR / 10);
        assert_eq!(schedule(24, None).jitter(), MAX_JITTER);
        assert_eq!(schedule(24, Some("02:00-02:30")).jitter(), HOUR / 20);
    }
}
