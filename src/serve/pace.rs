//! `Pace`: how far a client is behind the minimum speed of a transfer.

use std::time::Duration;

use tokio::time::Instant;

/// The time that the server waited for a client, less the time that the transferred bytes may take at the
/// minimum speed.
///
/// Only time while the server waits for the client counts. A client that transfers nothing uses up the
/// patience after exactly that time, one that is a little too slow much later, and one that is just fast
/// enough never, however uneven its transfer.
///
/// Every method takes the time, because some clocks pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// In bytes per second. At zero, any byte resets `behind`.
    min_speed: u64,
    behind: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(min_speed: u64) -> Self {
        Self { min_speed, behind: Duration::ZERO, waiting_since: None }
    }

    /// Starts waiting for the client.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Stops waiting for the client.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.behind += now.saturating_duration_since(since);
        }
    }

    /// Records a transfer of `bytes`, and stops waiting.
    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        self.pause(now);
        self.behind = match time_for(bytes, self.min_speed) {
            Some(made_up) => self.behind.saturating_sub(made_up),
            None if bytes > 0 => Duration::ZERO,
            None => self.behind,
        };
    }

    /// Whether the client's transfers matter: the server waits for it, or it is behind.
    pub(super) fn counts(&self) -> bool {
        self.waiting_since.is_some() || self.behind > Duration::ZERO
    }

    /// When the client has used up `patience`; `None` while the server does not wait for it.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        Some(self.waiting_since? + patience.saturating_sub(self.behind))
    }
}

/// How long `bytes` may take at `speed`; `None` without a minimum speed.
pub(super) fn time_for(bytes: usize, speed: u64) -> Option<Duration> {
    (speed > 0).then(|| Duration::from_secs_f64(bytes as f64 / speed as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// After how many seconds a client that transfers `bytes` every `seconds` uses up its patience; `None` if
    /// not within a day.
    fn lasts(min_speed: u64, bytes: usize, seconds: u64) -> Option<u64> {
        let begun = Instant::now();
        let (mut pace, mut now) = (Pace::new(min_speed), begun);
        while now - begun < Duration::from_secs(24 * 3600) {
            pace.wait(now);
            let deadline = pace.deadline(TIMEOUT).unwrap();
            if deadline <= now + Duration::from_secs(seconds) {
                return Some((deadline - begun).as_secs());
            }
            now += Duration::from_secs(seconds);
            pace.moved(bytes, now);
        }
        None
    }

    #[test]
    fn only_clients_below_the_minimum_speed_use_up_their_patience() {
        assert_eq!(lasts(1024, 0, 1), Some(60));
        assert!(matches!(lasts(1024, 1, 1), Some(60..=61)), "a byte at a time");
        assert!(matches!(lasts(1024, 512, 1), Some(118..=120)), "half of the minimum speed");
        assert_eq!(lasts(1024, 1024, 1), None);
        assert_eq!(lasts(1024, 50 * 1024, 50), None, "in bursts");
        assert_eq!(lasts(1024, 1 << 20, 61), Some(60), "a burst too late");
    }

    #[test]
    fn without_a_minimum_speed_any_byte_suffices() {
        assert_eq!(lasts(0, 1, 59), None);
        assert_eq!(lasts(0, 0, 1), Some(60));
        assert_eq!(lasts(0, 1, 61), Some(60));
    }

    #[test]
    fn time_counts_only_while_waiting_for_the_client() {
        let mut now = Instant::now();
        let mut pace = Pace::new(1024);
        for _ in 0..5 {
            pace.wait(now);
            now += Duration::from_secs(10);
            pace.pause(now);
            assert_eq!(pace.deadline(TIMEOUT), None);
            now += Duration::from_secs(3600);
        }
        pace.wait(now);
        assert_eq!(pace.deadline(TIMEOUT), Some(now + Duration::from_secs(10)));
    }
}
