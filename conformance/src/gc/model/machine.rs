//! `Machine`: the process of one actor and its faults: stops, clocks that jump, slow operations, lost answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::{Faults, Odds};
use crate::data;

/// A process on its own machine. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Machine(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: StdRng,
    odds: Odds,
    /// The longest stop.
    longest_stop: Duration,
    epoch: SystemTime,
    begun: Instant,
    /// The process does nothing before this time.
    stopped_until: Instant,
    /// How long the monotonic clock stood still.
    asleep: Duration,
    /// How many milliseconds the wall clock is ahead of the store's clock.
    ahead_ms: i64,
}

/// The fate of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// How long the store takes before it carries out the operation.
    before: Duration,
    /// How long the store then takes to answer.
    after: Duration,
    /// Whether the actor gets an answer.
    pub(super) is_answered: bool,
}

/// The longest time that an operation takes before or after its effect.
const SLOWEST: Duration = Duration::from_secs(90);

/// The longest delay of a deletion: as long as TCP delivers.
const LATEST: Duration = Duration::from_secs(15 * 60);

/// The longest jump of a wall clock: far less than half the grace period of scenarios with faults, and more than the margins of
/// the lock.
const JUMP_MS: i64 = 200_000;

impl Machine {
    pub(super) fn new(seed: u64, faults: Faults, longest_stop: Duration, epoch: SystemTime) -> Self {
        let begun = Instant::now();
        Self(Arc::new(Mutex::new(State {
            rng: data::rng(seed),
            odds: faults.odds(),
            longest_stop,
            epoch,
            begun,
            stopped_until: begun,
            asleep: Duration::ZERO,
            ahead_ms: 0,
        })))
    }

    /// The time that its wall clock shows.
    pub(super) fn wall(&self) -> SystemTime {
        let state = self.lock();
        let ahead = Duration::from_millis(state.ahead_ms.unsigned_abs());
        let now = state.epoch + state.begun.elapsed();
        if state.ahead_ms < 0 { now - ahead } else { now + ahead }
    }

    /// The time that its monotonic clock shows.
    pub(super) fn steady(&self) -> Duration {
        let state = self.lock();
        state.begun.elapsed().saturating_sub(state.asleep)
    }

    /// Arrives at an operation, which may take a while: the process may stop before.
    pub(super) async fn arrive(&self) -> Fate {
        let fate = self.lock().roll();
        self.until_it_runs().await;
        fate
    }

    /// Arrives at a deletion: stops before it are longer and more frequent.
    pub(super) async fn arrive_at_deletion(&self) -> Fate {
        let fate = {
            let mut state = self.lock();
            let odds = state.odds.stops_before_deletion;
            if state.one_in(odds) {
                let length = state.longest_stop.mul_f64(state.rng.random_range(0.0..1.0));
                state.stop(length);
            }
            state.roll()
        };
        self.until_it_runs().await;
        fate
    }

    async fn until_it_runs(&self) {
        loop {
            let until = self.lock().stopped_until;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// How late the store carries out a deletion for which no process waits any more; `None` for a timely one.
    pub(super) fn lateness(&self) -> Option<Duration> {
        let mut state = self.lock();
        let odds = state.odds.late;
        let is_late = state.one_in(odds);
        is_late.then(|| LATEST.mul_f64(state.rng.random_range(0.0..1.0)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    fn roll(&mut self) -> Fate {
        let odds = self.odds;
        if self.one_in(odds.stops) {
            let longest = self.longest_stop.as_millis() as f64;
            // Short stops and long ones are equally likely.
            let length_ms = longest.powf(self.rng.random_range(0.4..1.0));
            self.stop(Duration::from_millis(length_ms as u64));
        }
        let mut slowly = || match self.one_in(odds.slow) {
            true => SLOWEST.mul_f64(self.rng.random_range(0.0..1.0)),
            false => Duration::ZERO,
        };
        Fate { before: slowly(), after: slowly(), is_answered: !self.one_in(odds.lost) }
    }

    fn stop(&mut self, length: Duration) {
        self.stopped_until = self.stopped_until.max(Instant::now() + length);
        match self.rng.random_range(0..3) {
            // The machine is suspended, and its monotonic clock does not count the time.
            0 => self.asleep += length,
            1 => self.ahead_ms = self.rng.random_range(-JUMP_MS..JUMP_MS),
            _ => {}
        }
    }

    fn one_in(&mut self, odds: u32) -> bool {
        odds > 0 && self.rng.random_ratio(1, odds)
    }
}

impl Fate {
    /// Waits until the store carries out the operation.
    pub(super) async fn until_done(self) {
        if self.before > Duration::ZERO {
            sleep(self.before).await;
        }
    }

    /// Waits until the answer arrives.
    pub(super) async fn until_answered(self) {
        if self.after > Duration::ZERO {
            sleep(self.after).await;
        }
    }
}
