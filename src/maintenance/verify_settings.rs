//! `VerifySettings`: how much of the store the running registry verifies, and when.

use std::time::{Duration, SystemTime};

use sampan_config::DailyWindow;
use sampan_engine::verify::Progress;

/// How the running registry verifies its store.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifySettings {
    /// The time in which all data are hashed once.
    pub cycle: Duration,
    /// The most bytes to read in a second.
    pub rate: u64,
    /// The part of each day in which the store is verified; `None` for all day.
    pub window: Option<DailyWindow>,
    /// Whether data are hashed, or only tags, links and manifests are read.
    pub data: bool,
    /// Whether to repair what can be repaired.
    pub repair: bool,
    /// The grace period of collections.
    pub grace: Duration,
}

/// The number of parts of a cycle.
pub(super) const PARTS: u32 = 720;

/// The structure is read so often in a cycle.
const STRUCTURES: u32 = 30;

/// The shortest time from a part to the next.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// The last tenth of a cycle is for what came late.
const HASHED_WITHIN: f64 = 0.9;

impl VerifySettings {
    /// From one part to the next.
    pub(super) fn interval(&self) -> Duration {
        (self.cycle / PARTS).max(MIN_INTERVAL)
    }

    /// The work that is due: whether to read the structure, and up to which digest to hash; `None` if nothing is.
    pub(super) fn due(&self, progress: &Progress, now: SystemTime) -> Option<(bool, Option<u64>)> {
        let structure = !progress.has_structure_since(now, self.cycle / STRUCTURES);
        let up_to = if self.data { self.up_to(progress, now) } else { None };
        (structure || up_to.is_some()).then_some((structure, up_to))
    }

    /// Digests are spread evenly, so a part of the time is a part of the data.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a digest more or less does not matter, and the cast saturates"
    )]
    fn up_to(&self, progress: &Progress, now: SystemTime) -> Option<u64> {
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        let Some(begun) = progress.begun_by(now) else {
            let last = progress.last.as_ref().map(|last| last.begun());
            let waits = last.is_some_and(|last| since(last) < self.cycle && last <= now);
            return (!waits).then_some(u64::MAX / u64::from(PARTS));
        };
        let part = since(begun).as_secs_f64() / self.cycle.as_secs_f64() / HASHED_WITHIN;
        let part = part.clamp(1.0 / f64::from(PARTS), 1.0);
        Some(if part >= 1.0 { u64::MAX } else { (part * u64::MAX as f64) as u64 })
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Settings of a cycle of 30 days.
    pub(crate) fn settings(data: bool) -> VerifySettings {
        VerifySettings { cycle: 30 * DAY, rate: 1 << 20, window: None, data, repair: true, grace: DAY }
    }
}

#[cfg(test)]
mod tests {
    use sampan_engine::verify::Cycle;

    use super::testing::{DAY, settings};
    use super::*;

    #[test]
    fn a_part_of_the_time_is_a_part_of_the_data() {
        let ms = |days: u64| days * 24 * 60 * 60 * 1000;
        let at = |days: f64| SystemTime::UNIX_EPOCH + DAY.mul_f64(days);
        let running = |begun| Progress {
            cycle: Cycle { begun_ms: ms(begun), ..Cycle::default() },
            structure_ms: Some(ms(begun)),
            ..Progress::default()
        };
        let due = |progress: &Progress, day| settings(true).due(progress, at(day));
        let share = |up_to: Option<(bool, Option<u64>)>| {
            up_to.map(|(structure, up_to)| (structure, up_to.unwrap() / (u64::MAX / 1000)))
        };
        // A tenth of the time is for late ones.
        assert_eq!(share(due(&running(100), 113.5)), Some((true, 500)));
        assert_eq!(share(due(&running(100), 127.1)), Some((true, 1000)));
        assert_eq!(share(due(&running(100), 100.0)), Some((false, 1)));
        // A clock that was set back a little, and one that was ahead by days when the cycle began.
        assert_eq!(share(due(&running(100), 99.99)), Some((true, 1)));
        let ahead = Progress {
            last: Some(Cycle { begun_ms: ms(80), ended_ms: ms(81), ..Cycle::default() }),
            ..running(100)
        };
        assert_eq!(due(&ahead, 90.0), Some((true, None)), "the next cycle is not due");
        assert_eq!(share(due(&ahead, 111.0)), share(due(&running(100), 111.0)));
        assert_eq!(share(due(&running(100), 90.0)), Some((true, 1)));
        let ended = |begun| Progress {
            last: Some(Cycle { begun_ms: ms(begun), ended_ms: ms(begun + 1), ..Cycle::default() }),
            structure_ms: Some(ms(begun + 20)),
            ..Progress::default()
        };
        assert_eq!(due(&ended(100), 120.5), None);
        assert_eq!(share(due(&ended(100), 131.0)), Some((true, 1)));
        assert_eq!(share(due(&Progress::default(), 100.0)), Some((true, 1)));
        assert_eq!(settings(false).due(&running(100), at(102.0)), Some((true, None)));
        assert_eq!(settings(false).due(&running(100), at(100.5)), None);
    }
}
