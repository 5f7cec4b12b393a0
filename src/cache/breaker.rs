//! `Breaker`: an upstream whose connections fail is left alone for a while, so that what is stored is served at once.

use std::time::Duration;

use parking_lot::Mutex;

/// The state of an upstream. Times are on the client's clock.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failed connections since the last answer.
    failures: u32,
    /// Until when it counts as away.
    away_until: Duration,
    /// Whether a trial request is running.
    is_trying: bool,
}

/// The number of failures in a row that opens the breaker …
const FAILURES: u32 = 3;
/// … for this time, and for twice as long with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Breaker {
    /// Whether the upstream may be asked at `now`. While it counts as away one request at a time may find out, the first
    /// after each pause.
    pub(crate) fn admits(&self, now: Duration) -> Result<(), Duration> {
        let mut state = self.0.lock();
        if state.failures < FAILURES {
            return Ok(());
        }
        if now < state.away_until {
            return Err(state.away_until - now);
        }
        state.away_until = now + pause(state.failures);
        state.is_trying = true;
        Ok(())
    }

    /// Whether a request at `now` would be refused. Unlike [`admits`](Self::admits) it begins no trial.
    pub(crate) fn is_open(&self, now: Duration) -> bool {
        !self.open_for(now).is_zero()
    }

    /// How long requests are refused from `now` on; zero while it is not open.
    pub(crate) fn open_for(&self, now: Duration) -> Duration {
        let state = self.0.lock();
        if state.failures >= FAILURES { state.away_until.saturating_sub(now) } else { Duration::ZERO }
    }

    /// The upstream answered, whatever it said. Returns whether it counted as away.
    pub(crate) fn answered(&self) -> bool {
        std::mem::take(&mut *self.0.lock()).failures >= FAILURES
    }

    /// A connection failed, or no answer came. Returns whether the upstream counts as away from here on.
    pub(crate) fn failed(&self, now: Duration) -> bool {
        let mut state = self.0.lock();
        // Requests that began before it counted as away say nothing new.
        if state.failures >= FAILURES && !std::mem::take(&mut state.is_trying) {
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        let is_news = state.failures == FAILURES;
        state.away_until = now + pause(state.failures);
        is_news
    }

    /// Whether the upstream counts as away.
    pub(crate) fn is_away(&self) -> bool {
        self.0.lock().failures >= FAILURES
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(FAILURES).min(8)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_open_it_and_one_request_at_a_time_tries_again() {
        let breaker = Breaker::default();
        for _ in 0..2 {
            assert!(!breaker.failed(at(0)));
            assert_eq!(breaker.admits(at(0)), Ok(()));
        }
        assert!(breaker.failed(at(0)) && breaker.is_away());
        assert_eq!(breaker.admits(at(1)), Err(at(4)));
        assert!(breaker.is_open(at(4)) && !breaker.is_open(at(5)) && !breaker.is_open(at(5)));
        assert_eq!(breaker.admits(at(5)), Ok(()));
        assert!(breaker.admits(at(5)).is_err(), "the trial is under way");
        assert!(!breaker.failed(at(6)), "it is no news");
        assert_eq!(breaker.admits(at(6)), Err(at(10)));
        for _ in 0..50 {
            assert!(!breaker.failed(at(7)), "these began before");
        }
        assert_eq!(breaker.admits(at(7)), Err(at(9)));
        assert!(breaker.answered() && !breaker.answered());
        assert_eq!(breaker.admits(at(7)), Ok(()));
        assert!(!breaker.is_away());
    }

    #[test]
    fn the_pause_ends_at_a_minute() {
        let breaker = Breaker::default();
        let mut now = at(0);
        for _ in 0..20 {
            breaker.failed(now);
            now += breaker.admits(now).err().unwrap_or_default();
            _ = breaker.admits(now);
        }
        breaker.failed(now);
        assert_eq!(breaker.admits(now), Err(MAX_PAUSE));
        assert_eq!(breaker.admits(now + MAX_PAUSE), Ok(()));
    }
}
