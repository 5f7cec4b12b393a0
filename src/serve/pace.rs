//! `Pace`: how far a client is behind the least speed of a transfer.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client was waited for, less what it has made up for by moving bytes.
///
/// Time counts only while the client is the one waited for, and each byte makes up for the time that it may take at the
/// least speed. So a client that moves nothing is out of patience when that is over, one that is a little too slow much
/// later, and one that is just fast enough never, however unevenly its bytes come.
///
/// Every method is given the time, because there are clocks that stop now and then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes a second. Zero means that any byte makes up for everything.
    least_speed: u64,
    behind: Duration,
    waiting_since: Option<Instant>,
}

/// A process that looks at a deadline so late was stopped. Connections are looked at every 10 seconds at least (see `Activity`).
const STOPPED: Duration = Duration::from_secs(15);

impl Pace {
    pub(super) fn new(least_speed: u64) -> Self {
        Self { least_speed, behind: Duration::ZERO, waiting_since: None }
    }

    /// The client is waited for from now on.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// The client is not waited for any more.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.behind += now.saturating_duration_since(since);
        }
    }

    /// The client has moved so many bytes, and is not waited for any more.
    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        self.pause(now);
        self.behind = match time_for(bytes, self.least_speed) {
            Some(made_up) => self.behind.saturating_sub(made_up),
            None if bytes > 0 => Duration::ZERO,
            None => self.behind,
        };
    }

    /// Whether the client is waited for or behind, so that what it moves matters.
    pub(super) fn counts(&self) -> bool {
        self.waiting_since.is_some() || self.behind > Duration::ZERO
    }

    /// When the client is out of `patience`; `None` while it is not waited for.
    ///
    /// A deadline that passed long before `now` was missed by this process, which was stopped or whose machine was suspended:
    /// what the client sent meanwhile was not read yet, so the wait begins anew.
    pub(super) fn deadline(&mut self, patience: Duration, now: Instant) -> Option<Instant> {
        let left = patience.saturating_sub(self.behind);
        let deadline = self.waiting_since? + left;
        if now.saturating_duration_since(deadline) < STOPPED {
            return Some(deadline);
        }
        self.waiting_since = Some(now);
        Some(now + left)
    }
}

/// How long `bytes` may take at `speed`; `None` when there is none.
pub(super) fn time_for(bytes: usize, speed: u64) -> Option<Duration> {
    (speed > 0).then(|| Duration::from_secs_f64(bytes as f64 / speed as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// After how many seconds a client is out of patience that moves `bytes` every `seconds`; `None` if it is not in a day.
    fn lasts(least_speed: u64, bytes: usize, seconds: u64) -> Option<u64> {
        let begun = Instant::now();
        let (mut pace, mut now) = (Pace::new(least_speed), begun);
        while now - begun < Duration::from_secs(24 * 3600) {
            pace.wait(now);
            let deadline = pace.deadline(PATIENCE, now).unwrap();
            if deadline <= now + Duration::from_secs(seconds) {
                return Some((deadline - begun).as_secs());
            }
            now += Duration::from_secs(seconds);
            pace.moved(bytes, now);
        }
        None
    }

    #[test]
    fn only_those_below_the_least_speed_run_out_of_patience() {
        assert_eq!(lasts(1024, 0, 1), Some(60));
        assert!(matches!(lasts(1024, 1, 1), Some(60..=61)), "a byte at a time");
        assert!(matches!(lasts(1024, 512, 1), Some(118..=120)), "half of what it must");
        assert_eq!(lasts(1024, 1024, 1), None);
        assert_eq!(lasts(1024, 50 * 1024, 50), None, "in lumps");
        assert_eq!(lasts(1024, 1 << 20, 61), Some(60), "a lump too late");
    }

    #[test]
    fn without_a_least_speed_any_byte_will_do() {
        assert_eq!(lasts(0, 1, 59), None);
        assert_eq!(lasts(0, 0, 1), Some(60));
        assert_eq!(lasts(0, 1, 61), Some(60));
    }

    #[test]
    fn time_counts_only_while_the_client_is_waited_for() {
        let mut now = Instant::now();
        let mut pace = Pace::new(1024);
        for _ in 0..5 {
            pace.wait(now);
            now += Duration::from_secs(10);
            pace.pause(now);
            assert_eq!(pace.deadline(PATIENCE, now), None);
            now += Duration::from_secs(3600);
        }
        pace.wait(now);
        assert_eq!(pace.deadline(PATIENCE, now), Some(now + Duration::from_secs(10)));
    }

    #[test]
    fn a_process_that_was_stopped_waits_anew() {
        let begun = Instant::now();
        let mut pace = Pace::new(1024);
        pace.wait(begun);
        let late = begun + PATIENCE + STOPPED - Duration::from_millis(1);
        assert_eq!(pace.deadline(PATIENCE, late), Some(begun + PATIENCE), "the process was busy");
        let resumed = begun + Duration::from_secs(180);
        assert_eq!(pace.deadline(PATIENCE, resumed), Some(resumed + PATIENCE));
        assert_eq!(pace.deadline(PATIENCE, resumed + PATIENCE), Some(resumed + PATIENCE), "once");
    }
}
