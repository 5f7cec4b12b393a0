//! `Machine`: the process of one actor and what befalls it: stops, clocks that jump, slow operations, answers that get lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, sleep_until};

use crate::data;

/// A process on a machine of its own. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Machine(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// Whether anything befalls it at all.
    rough: bool,
    /// The longest stop.
    longest_stop: Duration,
    epoch: SystemTime,
    begun: Instant,
    /// Nothing is done before.
    stopped_until: Instant,
    /// For how long the monotonic clock stood still.
    asleep: Duration,
    /// By how many milliseconds the wall clock is ahead of that of the store.
    ahead_ms: i64,
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// How long the store takes before it carries the operation out.
    before: Duration,
    /// How long it takes after that to answer.
    after: Duration,
    /// Whether there is an answer.
    pub(super) is_answered: bool,
}

/// Of how many operations one is the occasion of a stop, takes its time, or is not answered.
const STOPS: u32 = 120;
const SLOW: u32 = 40;
const LOST: u32 = 250;
const LATE: u32 = 30;

/// The longest time that an operation takes on either side of its effect.
const SLOWEST: Duration = Duration::from_secs(90);

/// How late a deletion may be: as long as TCP delivers.
const LATEST: Duration = Duration::from_secs(15 * 60);

/// How far a wall clock jumps: less than half the grace of rough scenarios by far, and more than the margins of the lock.
const JUMP_MS: i64 = 200_000;

impl Machine {
    pub(super) fn new(seed: u64, rough: bool, longest_stop: Duration, epoch: SystemTime) -> Self {
        let begun = Instant::now();
        Self(Arc::new(Mutex::new(State {
            rng: data::rng(seed),
            rough,
            longest_stop,
            epoch,
            begun,
            stopped_until: begun,
            asleep: Duration::ZERO,
            ahead_ms: 0,
        })))
    }

    /// What its wall clock shows.
    pub(super) fn wall(&self) -> SystemTime {
        let state = self.lock();
        let ahead = Duration::from_millis(state.ahead_ms.unsigned_abs());
        let now = state.epoch + state.begun.elapsed();
        if state.ahead_ms < 0 { now - ahead } else { now + ahead }
    }

    /// What its monotonic clock shows.
    pub(super) fn steady(&self) -> Duration {
        let state = self.lock();
        state.begun.elapsed().saturating_sub(state.asleep)
    }

    /// Comes to an operation, which may take a while: the process may be stopped before.
    pub(super) async fn arrive(&self) -> Fate {
        let fate = self.lock().roll();
        loop {
            let until = self.lock().stopped_until;
            if until <= Instant::now() {
                break;
            }
            sleep_until(until).await;
        }
        fate
    }

    /// How late the store carries out a deletion that nobody waits for any more; `None` when it is as any other.
    pub(super) fn lateness(&self) -> Option<Duration> {
        let mut state = self.lock();
        let is_late = state.rough && state.one_in(LATE);
        is_late.then(|| LATEST.mul_f64(state.rng.random_range(0.0..1.0)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn roll(&mut self) -> Fate {
        if !self.rough {
            return Fate { before: Duration::ZERO, after: Duration::ZERO, is_answered: true };
        }
        if self.one_in(STOPS) {
            let longest = self.longest_stop.as_millis() as f64;
            // Short ones and long ones alike.
            let length = longest.powf(self.rng.random_range(0.4..1.0));
            let until = Instant::now() + Duration::from_millis(length as u64);
            self.stopped_until = self.stopped_until.max(until);
            match self.rng.random_range(0..3) {
                // The machine is suspended; its monotonic clock does not count that.
                0 => self.asleep += Duration::from_millis(length as u64),
                1 => self.ahead_ms = self.rng.random_range(-JUMP_MS..JUMP_MS),
                _ => {}
            }
        }
        let mut slowly = |odds| match self.one_in(odds) {
            true => SLOWEST.mul_f64(self.rng.random_range(0.0..1.0)),
            false => Duration::ZERO,
        };
        Fate { before: slowly(SLOW), after: slowly(SLOW), is_answered: !self.one_in(LOST) }
    }

    fn one_in(&mut self, odds: u32) -> bool {
        self.rng.random_ratio(1, odds)
    }
}

impl Fate {
    /// The time until the store carries the operation out.
    pub(super) async fn until_done(self) {
        if self.before > Duration::ZERO {
            sleep(self.before).await;
        }
    }

    /// The time until the answer is there.
    pub(super) async fn until_answered(self) {
        if self.after > Duration::ZERO {
            sleep(self.after).await;
        }
    }
}
